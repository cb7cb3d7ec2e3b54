"""Signals as plain calls, for as long as a block lasts."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType
from typing import Final

STOPPING: Final = (signal.SIGTERM, signal.SIGINT)
LOOK_UP: Final = 1.0
"""Seconds for which the main thread waits at a time: a signal that another thread was handed does not wake it."""

IN_ORDER: Final = "stopping: running jobs have their grace"
AT_ONCE: Final = "leaving at once"

_log: Final = logging.getLogger("jobcore")


@contextmanager
def on_stop_signals(told: Callable[[], object]) -> Iterator[None]:
    """Call `told` at each SIGTERM and SIGINT. It runs between any two bytecodes, so it may take no lock."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        told()

    before = {number: signal.signal(number, handle) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def herald() -> Iterator[Callable[[str], object]]:
    """Gives what logs a line from another thread, and so may be called in signal handlers; at the end all is logged."""
    lines: SimpleQueue[str | None] = SimpleQueue()

    def log() -> None:
        while (line := lines.get()) is not None:
            _log.info("%s", line)

    thread = threading.Thread(target=log, name="jobcore-herald", daemon=True)
    thread.start()
    try:
        yield lines.put
    finally:
        lines.put(None)
        thread.join()
