"""Doing one thing while another is under way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import TypeAlias

Work: TypeAlias = Callable[[], object]


class Aside:
    """A thread that does something while its owner does something else. It begins at the first use."""

    def __init__(self) -> None:
        self._asked: SimpleQueue[Work | None] = SimpleQueue()
        self._ended: SimpleQueue[Exception | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def both(self, other: Work, own: Work) -> None:
        """Do both, `other` on the thread, and return when both have ended; where none can start, one after the other.

        Raises what `own` raises, else what `other` does.
        """
        if not self._begun():
            other()
            own()
            return
        self._asked.put(other)
        try:
            own()
        finally:
            error = self._ended.get()
        if error is not None:
            raise error

    def close(self) -> None:
        """End the thread, which has nothing to do."""
        self._asked.put(None)

    def _begun(self) -> bool:
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="jobcore-aside", daemon=True)
            with suppress(RuntimeError):  # no more threads are to be had just now
                thread.start()
                self._thread = thread
        return self._thread is not None

    def _run(self) -> None:
        while (work := self._asked.get()) is not None:
            try:
                work()
            except Exception as error:  # noqa: BLE001 -- it is raised to who asked
                self._ended.put(error)
            else:
                self._ended.put(None)
