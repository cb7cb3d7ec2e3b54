"""The jobs that a worker process has, told to people: what it waits for, what won't end, what it leaves behind."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from msgspec import structs

from jobcore import clocks
from jobcore.cli.output import counted
from jobcore.cli.signals import AT_ONCE, IN_ORDER
from jobcore.events import Event, Kind
from jobcore.loops import every
from jobcore.settling import started_event
from jobcore.worker import Worker

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


class TellingWorker(Worker):
    """A worker that says so when it is told to stop, and can say what it has not settled by then.

    Attributes:
        say: called with a line; also in signal handlers, so it may take no lock.
    """

    say: Callable[[str], object]

    def stop(self, *, now: bool = False) -> None:
        """See `Worker.stop`."""
        super().stop(now=now)
        self.say(AT_ONCE if now else IN_ORDER)

    def held(self) -> list[Event]:
        """What has begun and is not settled, whether it still runs or has ended."""
        now = clocks.steady()
        lanes = [lane for mover in self._shift.movers for lane in mover.lanes]
        tasks = [task for lane in lanes for task in list(lane.held) if task.began and not task.lost]
        return [structs.replace(started_event(task), seconds=(task.ended or now) - task.began) for task in tasks]


class Stuck:
    """Hears of jobs that run on past timeout and grace; true while some of them have not ended."""

    def __init__(self) -> None:
        self._jobs: set[tuple[str, str | None]] = set()

    def __call__(self, events: Sequence[Event]) -> None:
        """Take note of a batch."""
        for event in events:
            if event.kind is Kind.STUCK:
                self._jobs.add((event.queue, event.id))
            else:
                self._jobs.discard((event.queue, event.id))

    def __bool__(self) -> bool:
        """Whether some of them have not ended."""
        return bool(self._jobs)
