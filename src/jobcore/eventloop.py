"""An event loop on a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import traceback
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Final, TypeVar

T = TypeVar("T")

_PATIENCE: Final = 5.0
"""Seconds to wait for a loop that a job blocks."""

_log: Final = logging.getLogger("jobcore")


class Loop:
    """An event loop on a thread of its own, started when it is first needed."""

    def __init__(self) -> None:
        self._starting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    @property
    def started(self) -> bool:
        """Whether it runs."""
        return self._loop is not None

    def get(self) -> asyncio.AbstractEventLoop:
        """The loop, running; RuntimeError after `close`, or where no thread can start for it."""
        with self._starting:
            if self._closed:
                raise RuntimeError("the event loop was closed")
            if self._loop is None:
                self._loop = self._start()
            return self._loop

    def _start(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=self._run, args=(loop,), name="jobcore-loop", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            loop.close()
            raise
        self._thread = thread
        return loop

    def soon(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function on the loop."""
        self.get().call_soon_threadsafe(function, *args)

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and wait for what it gives."""
        future: Future[T] = asyncio.run_coroutine_threadsafe(coroutine, self.get())
        return future.result()

    def answers(self) -> bool:
        """Whether it gets to do anything: a job that blocks keeps it from that."""
        answered = threading.Event()
        self.soon(answered.set)
        return answered.wait(_PATIENCE)

    def frames(self) -> traceback.StackSummary:
        """Where its thread is at this moment, seen from another one."""
        frame = sys._current_frames().get(self._thread.ident or 0) if self._thread else None  # noqa: SLF001 -- its one name
        return traceback.extract_stack(frame) if frame else traceback.StackSummary()

    def close(self) -> None:
        """End what runs on the loop, and the loop; one that is blocked is left to the end of the process."""
        with self._starting:
            self._closed = True
            loop, thread = self._loop, self._thread
        if loop is not None and thread is not None and thread.is_alive():
            loop.call_soon_threadsafe(loop.stop)
            if thread is not threading.current_thread():
                thread.join(_PATIENCE)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            asyncio.set_event_loop(runner.get_loop())
            while not self._closed:
                try:
                    loop.run_forever()
                except (SystemExit, KeyboardInterrupt):  # asyncio lets these through from a task that a job started
                    _log.exception("a job's own task tried to end the process; the worker goes on")
