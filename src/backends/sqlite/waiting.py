"""How those who wait for jobs learn of them, without a server.

In this process whoever makes a job ready says so at once. What other processes commit is seen by looking, twenty-five
times a second, whether the file has changed: a number in memory that SQLite shares among processes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeAlias
from weakref import WeakValueDictionary

from jobcore.backends.sqlite.forks import GATE

INTERVAL: Final = 0.04
"""Seconds between two looks at what other processes did."""

Ear: TypeAlias = Callable[[float], bool]
"""Waits for the next ring, for some seconds at most; whether it came."""


class Bell:
    """Rung when a job became ready; heard by all threads of this process that wait on the same file."""

    def __init__(self) -> None:
        self.begin_anew()
        GATE.add(self)

    def begin_anew(self) -> None:
        """In a forked child: those who waited are not there."""
        self._lock = threading.Lock()
        self._ears: set[threading.Lock] = set()

    def disconnect(self) -> None:
        """Nothing is open."""

    def ring(self) -> None:
        """Have all who wait look again."""
        with self._lock:
            for ear in self._ears:
                if ear.locked():
                    ear.release()

    @contextmanager
    def listening(self) -> Iterator[Ear]:
        """An ear that misses no ring from here on. One lock serves all its waits: they are many, and mostly idle."""
        ear = threading.Lock()
        ear.acquire()
        with self._lock:
            self._ears.add(ear)
        try:
            yield lambda timeout: ear.acquire(timeout=timeout)
        finally:
            with self._lock:
                self._ears.remove(ear)


_bells: Final[WeakValueDictionary[Path, Bell]] = WeakValueDictionary()
_lock: Final = threading.Lock()


def bell(path: Path) -> Bell:
    """The bell of a file: one for all backends of this process that have it open."""
    with _lock:
        return _bells.setdefault(path.resolve(), Bell())


def wait_for_change(heard: Ear, version: int, look: Callable[[], int], timeout: float) -> None:
    """Return when the bell was rung, `look()` is no longer `version`, or time is up."""
    left = timeout
    while left > 0 and not heard(min(left, INTERVAL)) and look() == version:
        left -= INTERVAL
