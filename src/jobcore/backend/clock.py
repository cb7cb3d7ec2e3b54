"""Time as an input: what a driver may be given in place of its store's clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """A clock that a test can hand to a driver. A driver without one reads its store's."""

    def now(self) -> int:
        """Microseconds since the Unix epoch."""
        ...

    def watch(self, moved: Callable[[], None]) -> None:
        """Have `moved` called whenever the clock was moved by hand, so that waiters look again."""
        ...


class SystemClock:
    """This process's wall clock: what a store without a clock of its own reads."""

    def now(self) -> int:
        """Microseconds since the Unix epoch."""
        return time.time_ns() // 1000

    def watch(self, moved: Callable[[], None]) -> None:
        """Nothing moves this clock by hand, so `moved` is never called."""
