"""The work that is done while things die: jobs that say that they began, and then end in each way that a job can."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from jobcore.backend import Backend
from jobcore.job import Failure, Job, JobContext, LinearBackoff, Result, Retry
from jobcore.prove.journal import Journal, Started, now
from jobcore.queue import Queue

_SHARES: Final = {"quick": 84, "slow": 10, "retry": 2, "fail": 2, "raise": 1, "overrun": 1}
"""Of a hundred jobs so many take each way."""

REMEMBER: Final = 86400
"""Seconds for which ids are remembered that a producer chose: longer than any run."""

_NEVER: Final = 3600.0
_quiet: Final = logging.getLogger("jobcore.prove.jobs")
_quiet.propagate = False  # that some fail is as it should be
_quiet.addHandler(logging.NullHandler())

State: TypeAlias = tuple[Journal, float]
"""What jobs are run with: their worker's journal, and for how many seconds slow ones sleep."""


@dataclass(frozen=True)
class Work(Job[State]):
    """A job that goes a way of `_SHARES`."""

    way: str

    def run(self, state: State, context: JobContext[State]) -> Result | None:
        """Say that it began, then end as it should."""
        journal, slow = state
        journal.write(Started(now(), context.id, context.fence))
        match self.way:
            case "slow":
                time.sleep(slow)  # long enough to be running when its worker is killed or stopped
            case "retry" if context.attempt == 1:
                return Retry(delay=0.05)
            case "fail":
                return Failure("as it should")
            case "raise":
                raise RuntimeError("as it should")
        return None


@dataclass(frozen=True)
class Overrun(Job[State]):
    """A job that ends by its timeout."""

    timeout = 0.05
    max_attempts = 2

    async def run(self, state: State, context: JobContext[State]) -> None:
        """Say that it began, then wait for nothing."""
        journal, _ = state
        journal.write(Started(now(), context.id, context.fence))
        await asyncio.sleep(_NEVER)


def make_queue(name: str, backend: Callable[[], Backend], state: State | None = None) -> Queue[Any]:
    """The queue, as producers and workers have it."""
    queue: Queue[Any] = Queue(
        name,
        backend,
        jobs=[Work, Overrun],
        state=state,
        keep_failed=100,
        remember=REMEMBER,
        logger=_quiet,
        max_attempts=3,
        max_lost=1000,  # however often its worker dies, a job is run until it is done
        backoff=LinearBackoff(0.05),
    )
    return queue


def draw(number: int, random: random.Random) -> list[Job[Any]]:
    """Some jobs, of all kinds in their shares."""
    ways = random.choices(list(_SHARES), list(_SHARES.values()), k=number)
    return [Overrun() if way == "overrun" else Work(way) for way in ways]
