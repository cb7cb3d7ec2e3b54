"""The suite, on the store of `--backend-url`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jobcore.conformance import BackendSuite, Harness
from jobcore.conformance.url import UrlHarness, given_url


class TestBackend(BackendSuite):
    """A store that is known by its URL alone."""

    @pytest.fixture
    def harness(self, pytestconfig: pytest.Config) -> Iterator[Harness]:
        """Its queues are destroyed after each test."""
        harness = UrlHarness(given_url(pytestconfig.getoption("--backend-url")))
        yield harness
        harness.close()
