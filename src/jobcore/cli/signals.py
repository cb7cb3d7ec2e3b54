"""Signals as plain calls, for as long as a block lasts."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

STOPPING: Final = (signal.SIGTERM, signal.SIGINT)
LOOK_UP: Final = 1.0
"""Seconds for which the main thread waits at a time: a signal that another thread was handed does not wake it."""


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
