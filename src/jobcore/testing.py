"""What tests of queues and of drivers need: a clock that is moved by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

START: Final = 1_700_000_000_000_000
"""Where a `ManualClock` begins unless told otherwise: an ordinary day, in microseconds."""


class ManualClock:
    """A clock that stands still until it is moved.

    Hand it to a driver (`clock=`); moving it wakes whoever waits in that driver.
    """

    def __init__(self, start: int = START) -> None:
        self._now = start
        self._watchers: list[Callable[[], None]] = []

    def now(self) -> int:
        """Microseconds since the Unix epoch."""
        return self._now

    def watch(self, moved: Callable[[], None]) -> None:
        """Call `moved` after each move of this clock."""
        self._watchers.append(moved)

    def advance(self, seconds: float = 0, *, microseconds: int = 0) -> int:
        """Move the clock on (or back, by a negative amount), and return where it stands."""
        self._now += round(seconds * 1_000_000) + microseconds
        for moved in self._watchers:
            moved()
        return self._now
