"""Watching a queue while you work on it: `debugger(queue)` in a thread, a shell or a notebook."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import asdict

from jobcore.backend import Entry, State
from jobcore.codec import Undecodable
from jobcore.loops import check_positive, every
from jobcore.queue import Queue

_CUT: Final = 200
"""Bytes that are shown of a payload."""


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
    for state in (State.READY, State.RUNNING):
        lines += [f"  {state:7}  {_shown(queue, entry)}" for entry in queue.entries(state, limit).entries]
    return "\n".join(lines)


def _shown(queue: Queue[Any], entry: Entry) -> str:
    """The job, or its payload as it is stored where this program does not know it."""
    try:
        job_type, args = queue.registry.open(entry.payload)
        return str(job_type.decode(args))
    except Undecodable:
        text = entry.payload[:_CUT].decode(errors="replace")
        return text if text.isprintable() else repr(entry.payload[:_CUT])  # what a terminal would obey is no job's JSON
