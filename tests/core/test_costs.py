"""What the core itself takes for a job, in counts that no other work on the machine can change."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from jobcore.queue import Queue
from jobcore.worker import Worker

FEW, MANY = 100, 500
OURS = ("/jobcore/", "/backends/", "/asyncio/")


def lines_of(call: Callable[[], object]) -> int:
    """Make a call, and count the lines of jobcore's own, and of asyncio's, that all threads run meanwhile."""
    lines: list[None] = []  # as appending is atomic

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        if not any(folder in frame.f_code.co_filename for folder in OURS):
            return None
        if event == "line":
            lines.append(None)
        return trace

    before = sys.gettrace()
    threading.settrace(trace)
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
        threading.settrace(before)
    return len(lines)


class Costly:
    """A queue in memory, and a worker with one hand; `noted` is how many blocks of memory there were at each start."""

    def __init__(self) -> None:
        self.queue: Queue[Any] = Queue("q", "memory://")
        self.noted: list[int] = []

        @self.queue.job
        def work(number: int) -> None:
            if number == 0:
                self.noted.append(blocks())

        @self.queue.job
        async def loopy(number: int) -> None: ...

        self._work, self._loopy = work, loopy

    def fill(self, jobs: int, *, loopy: bool = False) -> None:
        work = self._loopy if loopy else self._work
        self.queue.enqueue_many([work.job(number) for number in range(jobs)])

    def run(self) -> None:
        """Run what waits, by a worker of its own: threads are traced from their beginning, or not at all."""
        worker = Worker(self.queue, concurrency=1, limits={"q": MANY}, monitor=False)
        worker.step()
        worker.stop()


def blocks() -> int:
    """The blocks of memory that are in use."""
    gc.collect()
    return sys.getallocatedblocks()


def per_job(cost: Callable[[int], int]) -> float:
    """What one job more costs. Waiting costs a little as well, now more, now less: so the least of three tries."""
    return min((cost(MANY) - cost(FEW)) / (MANY - FEW) for _ in range(3))


@pytest.fixture
def costly() -> Iterator[Costly]:
    costly = Costly()
    costly.fill(MANY)
    costly.run()  # what is made once is made
    yield costly
    costly.queue.close()


def test_the_lines_that_enqueuing_a_job_runs(costly: Costly) -> None:
    assert per_job(lambda jobs: lines_of(lambda: costly.fill(jobs))) <= 52


@pytest.mark.parametrize(("loopy", "bound"), [(False, 125), (True, 208)], ids=["sync", "async"])
def test_the_lines_that_running_a_job_runs(costly: Costly, loopy: bool, bound: int) -> None:
    def cost(jobs: int) -> int:
        costly.fill(jobs, loopy=loopy)
        return lines_of(costly.run)

    assert per_job(cost) <= bound


def test_the_blocks_of_memory_that_a_claimed_job_takes(costly: Costly) -> None:
    def cost(jobs: int) -> int:
        costly.fill(jobs)
        before = blocks()
        costly.run()
        return costly.noted[-1] - before

    assert per_job(cost) <= 6


def test_a_worker_keeps_nothing_of_what_it_has_run(costly: Costly) -> None:
    grown = []
    for _ in range(3):
        before = blocks()
        costly.fill(MANY)
        costly.run()
        grown.append(blocks() - before)
    assert min(grown) < MANY / 2, grown  # in each round if it is the jobs', and not what else the process keeps
