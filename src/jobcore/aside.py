"""Doing one thing while another is under way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import TypeAlias

Work: TypeAlias = Callable[[], object]
_End: TypeAlias = "SimpleQueue[BaseException | None]"


class Aside:
    """A thread that does something while its owner does something else. It begins at the first use."""

    def __init__(self) -> None:
        self._asked: SimpleQueue[tuple[Work, _End] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def both(self, other: Work, own: Work) -> None:
        """Do both, `other` on the thread, and return when both have ended; where none can start, one after the other.

        Raises what `own` raises, else what `other` does.
        """
        if not self._begun():
            other()
            own()
            return
        end: _End = SimpleQueue()  # of this call alone: who was interrupted waiting leaves one behind
        self._asked.put((other, end))
        try:
            own()
        finally:
            error = end.get()
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
        while (asked := self._asked.get()) is not None:
            work, end = asked
            try:
                work()
            except BaseException as error:  # noqa: BLE001 -- it is raised to who asked, who would wait for ever else
                end.put(error)
            else:
                end.put(None)
