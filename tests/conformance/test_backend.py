"""The suite, on the store of `--backend-url`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jobcore.cli.secrets import given_url
from jobcore.conformance import BackendSuite, Harness
from jobcore.conformance.url import UrlHarness


class TestBackend(BackendSuite):
    """A store that is known by its URL alone."""

    @pytest.fixture
    def harness(self, pytestconfig: pytest.Config) -> Iterator[Harness]:
        """Its queues are destroyed after each test."""
        harness = UrlHarness(given_url(pytestconfig.getoption("--backend-url")) or "")
        yield harness
        harness.close()
