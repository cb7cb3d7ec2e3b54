"""How much of a store's own speed a worker keeps: no-op jobs that are queued already, 16 hands.

The bare loop claims 100 jobs and settles 100 over the driver: nothing is decoded or run, and no lease is kept.
Memory is compared with a `ThreadPoolExecutor(4)` that is given as many no-op tasks.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from measure import STORES, Bench, Row, alternately, at_least, speed

from jobcore import Queue, Worker
from jobcore.backend import Keep, Succeed


def rows(bench: Bench) -> Iterator[Row]:
    """A worker against the bare loop, and its async jobs against its sync ones."""
    for store in bench.chosen(*STORES):
        drain = Drain(bench.url(store), bench.jobs(20_000))
        bare = drain.pooled if store == "memory" else drain.bare
        loop, sync, loopy = alternately(bench.rounds, bare, drain.sync, drain.loopy)
        drain.queue.close()
        yield Row("drain, sync jobs", sync, loop, at_least(1.5 if store == "memory" else 0.7), store=store)
        yield Row("drain, async against sync", loopy, sync, at_least(0.7), store=store)


class Drain:
    """A queue that is filled and drained, in one way or another; each gives jobs a second."""

    def __init__(self, url: str, jobs: int) -> None:
        self.queue: Queue[Any] = Queue("drain", url)
        self._jobs = jobs

        @self.queue.job
        def noop(number: int) -> None: ...

        @self.queue.job
        async def anoop(number: int) -> None: ...

        self._sync, self._async = noop, anoop

    def sync(self) -> float:
        """A worker on sync jobs."""
        self.fill()
        return speed(self._jobs, self.work)

    def loopy(self) -> float:
        """A worker on async jobs."""
        self.fill(loopy=True)
        return speed(self._jobs, self.work)

    def bare(self) -> float:
        """Claims of 100 and settlements of 100, until there is nothing left."""
        self.fill()
        return speed(self._jobs, self._loop)

    def pooled(self) -> float:
        """A pool of four threads on tasks that do nothing."""

        def run() -> None:
            for future in [pool.submit(int) for _ in range(self._jobs)]:
                future.result()

        with ThreadPoolExecutor(4) as pool:
            return speed(self._jobs, run)

    def fill(self, *, loopy: bool = False) -> None:
        """Enqueue all jobs, sync or async ones."""
        job = self._async if loopy else self._sync
        for first in range(0, self._jobs, 1000):
            self.queue.enqueue_many([job.job(number) for number in range(first, min(self._jobs, first + 1000))])

    def work(self) -> None:
        """Run them all."""
        Worker(self.queue, monitor=False).run(until_empty=True)

    def _loop(self) -> None:
        backend, name = self.queue.backend, self.queue.name
        while claims := backend.claim(name, 100, 60_000_000, "bare", os.urandom(16), 1 << 30).claims:
            backend.settle(name, [(claim.hold, Succeed()) for claim in claims], Keep())
