"""Ten thousand async jobs that each sleep a second, all at once, against a bare `asyncio.gather` of as many sleeps."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from time import perf_counter
from typing import Any

from measure import STORES, Bench, Row, alternately, at_most

from jobcore import Queue, Worker


def rows(bench: Bench) -> Iterator[Row]:
    """Seconds above the bare program."""
    jobs = bench.jobs(10_000)
    for store in bench.chosen(*STORES):
        queue: Queue[Any] = Queue("sleepers", bench.url(store))

        @queue.job
        async def sleep() -> None:
            await asyncio.sleep(1)

        def work(queue: Queue[Any] = queue, sleep: Any = sleep) -> float:
            for first in range(0, jobs, 1000):
                queue.enqueue_many([sleep.job()] * min(1000, jobs - first))
            began = perf_counter()
            Worker(queue, concurrency=jobs, monitor=False).run(until_empty=True)
            return perf_counter() - began

        ours, bare = alternately(bench.rounds, work, lambda: gathered(jobs))
        above = [mine - other for mine, other in zip(ours, bare, strict=True)]
        yield Row(f"{jobs:,} jobs that sleep 1 s, above bare asyncio", above, (), at_most(2), "s", store)
        queue.close()


def gathered(jobs: int) -> float:
    """Seconds that as many bare sleeps take."""

    async def all_of_them() -> None:
        await asyncio.gather(*[asyncio.sleep(1) for _ in range(jobs)])

    began = perf_counter()
    asyncio.run(all_of_them())
    return perf_counter() - began
