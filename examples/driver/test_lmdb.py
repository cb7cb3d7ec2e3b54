"""The driver, proved by jobcore's suite with a clock in hand, and by URL as its users open it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from jobcore_lmdb import LmdbBackend, connect

from jobcore.backend import Backend, ConfigurationError, Push, Refused
from jobcore.conformance import BackendSuite, Harness
from jobcore.testing import ManualClock


class LmdbHarness(Harness):
    """A store in a folder; clients of one process share what LMDB has open, as it demands."""

    examples = 20

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self._folder = folder

    def make(self) -> Backend:
        return LmdbBackend(self._folder / "one", self.clock, sync=False)

    def apart(self) -> Backend:
        return LmdbBackend(self._folder / "two", self.clock, sync=False)

    def elsewhere(self) -> Callable[[], Backend]:
        return partial(LmdbBackend, self._folder / "one", sync=False)


class TestLmdb(BackendSuite):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> Harness:
        return LmdbHarness(tmp_path)


def test_a_store_is_found_again(tmp_path: Path) -> None:
    connect(f"lmdb://{tmp_path}").push("q", [Push("a", b"{}")])
    assert connect(f"lmdb://{tmp_path}?sync=no").counts("q").ready == 1


def test_a_full_store_refuses_and_stays_as_it_was(tmp_path: Path) -> None:
    backend = connect(f"lmdb://{tmp_path}?size=65536")
    with pytest.raises(Refused):
        backend.push("q", [Push(f"{n}", bytes(1000)) for n in range(1000)])
    assert backend.counts("q").ready == 0


@pytest.mark.parametrize("url", ["lmdb://", "lmdb://host/path", "lmdb:///x?sync=maybe", "lmdb:///x?sise=1"])
def test_a_wrong_url_is_told(url: str) -> None:
    with pytest.raises(ConfigurationError):
        connect(url)
