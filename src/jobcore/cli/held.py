"""The jobs that a worker process has, told to people: which it waits for, and which it leaves behind."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from jobcore.cli.output import counted
from jobcore.events import Event
from jobcore.loops import every

LONG_SECONDS: Final = 60.0
"""How long nobody wonders what a worker waits for, and between telling it again."""

_TOLD: Final = 5
_log: Final = logging.getLogger("jobcore")


def named(jobs: Sequence[Event]) -> list[str]:
    """Each of the first few jobs, as in `send 66_0d38 of mail, for 12 s`; of the others, how many."""
    told = [f"{job.name} {job.id} of {job.queue}, for {job.seconds or 0:.0f} s" for job in jobs[:_TOLD]]
    return [*told, *([f"{len(jobs) - _TOLD} more"] if len(jobs) > _TOLD else [])]


@contextmanager
def telling_what_runs(running: Callable[[], Sequence[Event]]) -> Iterator[None]:
    """Meanwhile log, every minute, what has run for longer than that: whoever waits for its end may wait in vain."""

    def tell() -> None:
        if long := [job for job in running() if (job.seconds or 0) > LONG_SECONDS]:
            _log.info("still running: %s", "; ".join(named(long)))

    stop = threading.Event()
    threading.Thread(target=every, args=(LONG_SECONDS, tell, stop), name="jobcore-held", daemon=True).start()
    try:
        yield
    finally:
        stop.set()


def tell_left(jobs: Sequence[Event], lease: float, *, parent: bool) -> None:
    """Log what a worker that ends holds still, and what brings it back.

    Args:
        jobs: what it holds.
        lease: seconds.
        parent: whether there is one, which brings back what a dead child held.
    """
    if jobs:
        when = "at once, as the parent sees to it" if parent else f"within {lease:g} s, at the lease's end"
        _log.warning("left behind %s, to run again %s: %s", counted(len(jobs), "job"), when, "; ".join(named(jobs)))
