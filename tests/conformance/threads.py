"""Calls made at the same time."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

T = TypeVar("T")

PATIENCE: Final = 30.0
"""Seconds after which what should have happened is taken not to happen."""


def together(*calls: Callable[[], T]) -> list[T]:
    """Make all calls at once, each in a thread of its own; what they return, or what the first to fail raised."""
    begin = threading.Barrier(len(calls))
    interval = sys.getswitchinterval()

    def run(call: Callable[[], T]) -> T:
        begin.wait(PATIENCE)
        return call()

    sys.setswitchinterval(interval / 1000)  # threads cut into each other, even where no call leaves the interpreter
    try:
        with ThreadPoolExecutor(len(calls)) as pool:
            return [running.result(2 * PATIENCE) for running in [pool.submit(run, call) for call in calls]]
    finally:
        sys.setswitchinterval(interval)
