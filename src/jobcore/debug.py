"""Watching a queue while you work on it: `debugger(queue)` in a thread, a shell or a notebook."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from msgspec.structs import asdict

from jobcore.loops import check_positive, every
from jobcore.queue import Queue


def debugger(
    queue: Queue[Any],
    interval: float = 1.0,
    *,
    stop: threading.Event | None = None,
    write: Callable[[str], object] = print,
) -> None:
    """Print the queue at once, and then about every `interval` seconds, until `stop` is set (else for ever).

    Raises:
        InvalidArgument: the interval is not more than 0.
        BackendError: the store can't answer.
    """
    check_positive("interval", interval)

    def step() -> None:
        write(snapshot(queue))

    step()
    every(interval, step, stop or threading.Event())


def snapshot(queue: Queue[Any], limit: int = 10) -> str:
    """The queue as text: its counts, and the first `limit` jobs that are ready and that are running."""
    counts = " ".join(f"{state}={count}" for state, count in asdict(queue.counts()).items() if count) or "empty"
    lines = [f"{queue.name}: {counts}"]
    lines += [f"  ready    {job}" for job in queue.jobs(limit)]
    lines += [f"  running  {job}" for job in queue.running(limit)]
    return "\n".join(lines)
