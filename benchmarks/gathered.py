"""A thousand `await aenqueue` at once, which share calls of the store, against one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

from measure import SERVERS, Bench, Row, alternately, at_least, speed

from jobcore import Queue


def rows(bench: Bench) -> Iterator[Row]:
    """Jobs a second in both ways."""
    jobs = bench.jobs(1000)
    for store in bench.chosen(*SERVERS):
        queue: Queue[Any] = Queue("gathered", bench.url(store))
        with closing(queue):
            gathered, sequential = alternately(bench.rounds, *ways(queue, jobs))
            queue.destroy()
        what = f"{jobs:,} `await aenqueue` at once, against one by one"
        yield Row(what, gathered, sequential, at_least(6), store=store)


def ways(queue: Queue[Any], jobs: int) -> tuple[Callable[[], float], Callable[[], float]]:
    """What enqueues so many jobs at once, and one by one; each gives jobs a second."""

    @queue.job
    async def stamp(number: int) -> None: ...

    async def gathered() -> None:
        await asyncio.gather(*(stamp.aenqueue(number) for number in range(jobs)))

    async def sequential() -> None:
        for number in range(jobs):
            await stamp.aenqueue(number)

    return lambda: speed(jobs, lambda: asyncio.run(gathered())), lambda: speed(jobs, lambda: asyncio.run(sequential()))
