"""The SQLite driver: the suite."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobcore.backend import Backend
from jobcore.backends.sqlite import SqliteBackend
from jobcore.conformance import BackendSuite, Harness
from jobcore.testing import ManualClock


class SqliteHarness(Harness):
    """One file in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self._folder = folder

    def make(self) -> Backend:
        return SqliteBackend(self._folder / "jobs.db", clock=self.clock, synchronous="NORMAL")

    def apart(self) -> Backend:
        return SqliteBackend(self._folder / "others.db", clock=self.clock, synchronous="NORMAL")


class TestSqlite(BackendSuite):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> Harness:
        return SqliteHarness(tmp_path)
