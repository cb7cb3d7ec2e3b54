"""What a trial collects: the suite, on the store that the trial gives."""

from __future__ import annotations

import pytest

from jobcore.conformance import BackendSuite, Harness


class TestSubject(BackendSuite):
    @pytest.fixture
    def harness(self, store: Harness) -> Harness:
        return store
