"""The suite, on the store of `--backend-url`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import pytest

from jobcore.cli.secrets import given_url
from jobcore.conformance import BackendSuite, Harness
from jobcore.conformance.url import UrlHarness
from jobcore.testing import ManualClock


class TestBackend(BackendSuite):
    """A store that is known by its URL alone."""

    clock: ClassVar[ManualClock | None] = None

    @pytest.fixture
    def harness(self, pytestconfig: pytest.Config) -> Iterator[Harness]:
        """Its queues are destroyed after each test."""
        url = given_url(pytestconfig.getoption("--backend-url")) or ""
        harness = UrlHarness(url, TestBackend.clock)
        TestBackend.clock = harness.clock
        yield harness
        harness.close()
