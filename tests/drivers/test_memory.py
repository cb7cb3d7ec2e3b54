"""The memory driver: the suite, and what is its own."""

from __future__ import annotations

import pytest

from jobcore.backend import Backend
from jobcore.backends.memory import MemoryBackend, Store
from jobcore.conformance import BackendSuite, Harness
from jobcore.testing import ManualClock


class MemoryHarness(Harness):
    """One store in memory."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self._store = Store()

    def make(self) -> Backend:
        return MemoryBackend(self.clock, store=self._store)

    def apart(self) -> Backend:
        return MemoryBackend(self.clock)


class TestMemory(BackendSuite):
    @pytest.fixture
    def harness(self) -> Harness:
        return MemoryHarness()
