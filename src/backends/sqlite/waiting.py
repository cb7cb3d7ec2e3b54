"""How those who wait for jobs learn of them, without a server.

In this process whoever makes a job ready says so at once. What other processes commit is seen by looking, twenty-five
times a second, whether the file has changed: a number in memory that SQLite shares among processes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

from jobcore.backends.sqlite.forks import GATE

INTERVAL: Final = 0.04
"""Seconds between two looks at what other processes did."""


class Bell:
    """Rung when a job became ready; heard by all threads of this process that wait on the same file."""

    def __init__(self) -> None:
        self.rings = 0
        self.begin_anew()
        GATE.add(self)

    def begin_anew(self) -> None:
        """In a forked child: those who waited are not there."""
        self._rung = threading.Condition()

    def disconnect(self) -> None:
        """Nothing is open."""

    def ring(self) -> None:
        """Have all who wait look again."""
        with self._rung:
            self.rings += 1
            self._rung.notify_all()

    def wait(self, rings: int, timeout: float) -> bool:
        """Wait until it was rung more often than `rings` times, or for `timeout` seconds; whether it was."""
        with self._rung:
            if self.rings == rings:
                self._rung.wait(timeout)
            return self.rings != rings


_bells: Final[WeakValueDictionary[Path, Bell]] = WeakValueDictionary()
_lock: Final = threading.Lock()


def bell(path: Path) -> Bell:
    """The bell of a file: one for all backends of this process that have it open."""
    with _lock:
        return _bells.setdefault(path.resolve(), Bell())


def wait_for_change(bell: Bell, rings: int, version: int, look: Callable[[], int], timeout: float) -> None:
    """Return when the bell was rung more than `rings` times, `look()` is no longer `version`, or time is up."""
    left = timeout
    while left > 0 and not bell.wait(rings, min(left, INTERVAL)) and look() == version:
        left -= INTERVAL
