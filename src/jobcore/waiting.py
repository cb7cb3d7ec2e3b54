"""Waiting: a bell that wakes a mover, and a thread that waits in the store for it."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from jobcore.backend import QueueClosed

if TYPE_CHECKING:
    from jobcore.backend import Wakes

_WAIT_SECONDS: Final = 1.0
_SLEEP_SECONDS: Final = 1.0
"""A sleep is no longer: a signal may come to another thread, and Python handles it when the main one wakes."""


class Bell:
    """Wakes one sleeper. It may be rung from any thread, and from signal handlers."""

    def __init__(self) -> None:
        self._rung: SimpleQueue[None] = SimpleQueue()

    def ring(self) -> None:
        """End the sleep under way, or the next one."""
        self._rung.put(None)

    def sleep(self, seconds: float) -> None:
        """Sleep until rung, or for so long, or for a second."""
        if seconds > 0:
            with suppress(Empty):
                self._rung.get(timeout=min(seconds, _SLEEP_SECONDS))
        while not self._rung.empty():
            self._rung.get()


class Waiter:
    """Blocks in the store, on a thread of its own, while its mover has nothing to do.

    Args:
        backend: what it waits in.
        found: called with the queues in which jobs may be ready.
    """

    def __init__(self, backend: Wakes, found: Callable[[Collection[str]], None]) -> None:
        self._backend = backend
        self._found = found
        self._queues: Collection[str] = ()
        self._wanted = threading.Event()
        self._stopped = threading.Event()

    def start(self) -> None:
        """Begin to wait for jobs whenever `want` asks for it."""
        threading.Thread(target=self._run, name="jobcore-wait", daemon=True).start()

    def want(self, queues: Collection[str]) -> None:
        """The mover rests: wake it when a job may be ready in one of these queues."""
        self._queues = queues
        self._wanted.set()

    def stop(self) -> None:
        """Wait no more; a wait under way ends by itself within a second, and nobody waits for it."""
        self._stopped.set()
        self._wanted.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._wanted.wait()
            try:
                self._wait()
            except QueueClosed:
                self._found(self._queues)  # the mover is to learn it as well
                return
            except Exception:  # noqa: BLE001 -- the mover meets the same trouble, and tells of it
                self._stopped.wait(random.uniform(0.5, 1))  # noqa: S311 -- spreads retries, hides nothing

    def _wait(self) -> None:
        if self._stopped.is_set():
            return
        found = self._backend.wait(self._queues, _WAIT_SECONDS)
        if found:
            self._wanted.clear()  # and then told, however much the mover has looked meanwhile: perhaps it looked before
            self._found(found)
