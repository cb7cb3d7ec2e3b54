"""Lifespans: entered by the worker before its first claim, left after its last settle, by one task."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
from core.loops import Faulty, eventually, running, states, threads

from jobcore.job import JobContext
from jobcore.queue import Queue
from jobcore.worker import Worker


class Pool:
    """What a lifespan gives, and the story of what happened to it."""

    def __init__(self, backend: Faulty | None = None) -> None:
        self.story: list[str] = []
        self.tasks: list[Any] = []
        self._backend = backend or Faulty()

    def note(self, what: str) -> None:
        calls = self._backend.calls
        self.story.append(f"{what} after {'a claim' if calls['claim'] else 'nothing'}")
        self.tasks.append(asyncio.current_task())

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[Pool]:
        self.note("entered")
        await asyncio.sleep(0)
        try:
            yield self
        finally:
            self.story.append(f"left with {self._backend.inner.counts('q').running} running")
            self.tasks.append(asyncio.current_task())

    @contextmanager
    def sync_lifespan(self) -> Iterator[Pool]:
        self.note("entered")
        try:
            yield self
        finally:
            self.story.append(f"left with {self._backend.inner.counts('q').running} running")
            self.tasks.append(asyncio.current_task())


def queue_of(pool: Pool, backend: Faulty, *, sync: bool) -> Queue[Pool]:
    queue = Queue("q", backend, lifespan=pool.sync_lifespan if sync else pool.lifespan)

    @queue.job(context=True)
    async def work(context: JobContext[Pool]) -> None:
        context.state.story.append("worked")

    work.enqueue()
    return queue


@pytest.mark.parametrize("sync", [False, True])
def test_it_is_entered_before_the_first_claim_and_left_after_the_last_settle(sync: bool):
    backend = Faulty()
    pool = Pool(backend)
    queue = queue_of(pool, backend, sync=sync)
    assert pool.story == []
    Worker(queue, monitor=False).run(until_empty=True)
    assert pool.story == ["entered after nothing", "worked", "left with 0 running"]


@pytest.mark.parametrize("sync", [False, True])
def test_one_task_on_the_workers_loop_enters_and_leaves_it(sync: bool):
    backend = Faulty()
    pool = Pool(backend)
    with Worker(queue_of(pool, backend, sync=sync), monitor=False):
        eventually(lambda: "worked" in pool.story)
    entered, left = pool.tasks
    assert entered is left is not None


def test_producers_never_enter_it():
    pool = Pool()
    queue = Queue("q", "memory://", lifespan=pool.lifespan)

    @queue.job
    def work() -> None: ...

    work.enqueue()
    assert len(queue.jobs()) == 1
    asyncio.run(work.aenqueue())
    queue.close()
    assert pool.story == []


def test_step_enters_it_once_and_stop_leaves_it():
    backend = Faulty()
    pool = Pool(backend)
    worker = Worker(queue_of(pool, backend, sync=False))
    assert [worker.step(), worker.step()] == [1, 0]
    assert pool.story == ["entered after nothing", "worked"]
    worker.stop()
    assert pool.story[-1] == "left with 0 running"
    assert worker.step() == 0
    assert len(pool.story) == 3


def test_a_worker_that_was_stopped_before_it_ran_does_not_enter_it():
    backend = Faulty()
    pool = Pool(backend)
    worker = Worker(queue_of(pool, backend, sync=False))
    worker.stop()
    worker.run()
    with worker:
        pass
    assert pool.story == []
    assert backend.calls["claim"] == 0


@pytest.mark.parametrize("way", ["run", "step", "with", "async with"])
def test_what_it_raises_when_entered_is_raised_to_the_caller(way: str):
    pool = Pool()

    @asynccontextmanager
    async def failing() -> AsyncIterator[Pool]:
        raise ConnectionError("no pool")
        yield pool

    first = Queue("q", "memory://", lifespan=pool.lifespan)
    second = Queue("r", "memory://", lifespan=failing)
    worker = Worker(first, second)

    async def enter() -> None:
        async with worker:
            raise AssertionError("not reached")

    with pytest.raises(ConnectionError, match="no pool"):
        if way == "run":
            worker.run()
        elif way == "step":
            worker.step()
        elif way == "with":
            worker.__enter__()
        else:
            asyncio.run(enter())
    assert pool.story == ["entered after nothing", "left with 0 running"]
    eventually(lambda: threads() == [])


@pytest.mark.parametrize("way", ["run", "with"])
def test_what_it_raises_when_left_is_raised_to_the_caller(way: str):
    @asynccontextmanager
    async def failing() -> AsyncIterator[None]:
        yield
        raise ConnectionError("cannot close")

    worker = Worker(Queue("q", "memory://", lifespan=failing))
    with pytest.raises(ConnectionError, match="cannot close"):
        if way == "run":
            worker.run(until_empty=True)
        else:
            with worker:
                pass
    eventually(lambda: threads() == [])


def test_several_queues_have_one_each_and_are_left_in_reverse():
    story: list[str] = []

    def lifespan_of(name: str) -> Any:
        @asynccontextmanager
        async def lifespan() -> AsyncIterator[str]:
            story.append(f"{name} entered")
            yield name
            story.append(f"{name} left")

        return lifespan

    queues = [Queue(name, "memory://", lifespan=lifespan_of(name)) for name in ("a", "b")]
    for queue in queues:

        @queue.job(context=True)
        def work(context: JobContext[str]) -> None:
            assert context.state == context.queue

        work.enqueue()
    Worker(*queues, monitor=False).run(until_empty=True)
    assert story == ["a entered", "b entered", "b left", "a left"]
    assert [states(queue) for queue in queues] == [{}, {}]


def test_what_it_gives_can_be_awaited_on_the_loop_of_the_jobs():
    @asynccontextmanager
    async def lifespan() -> AsyncIterator[asyncio.Queue[int]]:
        yield asyncio.Queue(maxsize=1)

    queue, got = Queue("q", "memory://", lifespan=lifespan), []

    @queue.job(context=True)
    async def put(context: JobContext[asyncio.Queue[int]], number: int) -> None:
        await context.state.put(number)

    @queue.job(context=True)
    async def get(context: JobContext[asyncio.Queue[int]]) -> None:
        got.append(await context.state.get())

    queue.enqueue_many([put.job(number) for number in range(4)] + [get.job()] * 4)
    Worker(queue, monitor=False).run(until_empty=True)
    assert sorted(got) == [0, 1, 2, 3]


def test_a_worker_made_inside_using_keeps_what_it_began_with():
    queue: Queue[list[str]] = Queue("q", "memory://outside", state=[])

    @queue.job(context=True)
    def work(context: JobContext[list[str]]) -> None:
        context.state.append("ran")

    store, inside = Faulty(), []
    with queue.using(store, state=inside):
        worker = Worker(queue)
        work.enqueue()
    worker.run(until_empty=True)
    assert inside == ["ran"]
    assert states(Queue("q", store)) == {}


def test_the_monitor_of_a_worker_looks_where_the_worker_does():
    outside, inside = Faulty(), Faulty()
    queue = Queue("q", outside)
    with queue.using(inside):
        worker = Worker(queue, lease=60)
    with running(worker):
        eventually(lambda: inside.calls["reclaim"])
    assert outside.calls["reclaim"] == 0


def test_a_job_that_blocks_the_loop_does_not_keep_a_worker_from_ending(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("jobcore.eventloop._PATIENCE", 0.05)
    monkeypatch.setattr("jobcore.shift.LAST_SECONDS", 0.05)
    release, begun = threading.Event(), threading.Event()
    backend = Faulty()
    pool = Pool(backend)
    queue = Queue("q", backend, lifespan=pool.lifespan)

    @queue.job
    async def block() -> None:
        begun.set()
        release.wait(20)

    block.enqueue()
    with running(Worker(queue, monitor=False, grace=0)):
        assert begun.wait(20)
    assert pool.story == ["entered after nothing"]
    release.set()
    eventually(lambda: threads() == [])
