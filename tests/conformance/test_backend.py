"""The suite, on the store of `--backend-url`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import pytest

from jobcore.cli.secrets import given_url
from jobcore.conformance import BackendSuite, Harness
from jobcore.conformance.url import UrlHarness


class TestBackend(BackendSuite):
    """A store that is known by its URL alone."""

    last: ClassVar[UrlHarness | None] = None

    @pytest.fixture
    def harness(self, pytestconfig: pytest.Config) -> Iterator[Harness]:
        """Its queues are destroyed after each test."""
        url = given_url(pytestconfig.getoption("--backend-url")) or ""
        harness = TestBackend.last = UrlHarness(url, TestBackend.last and TestBackend.last.clock)
        yield harness
        harness.close()
