"""What holds for all tests of the core."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from core.loops import eventually, threads


@pytest.fixture(autouse=True)
def _no_worker_is_left() -> Iterator[None]:
    """A worker that a test does not stop would be counted in those that come after."""
    yield
    eventually(lambda: "jobcore-leases" not in threads())
