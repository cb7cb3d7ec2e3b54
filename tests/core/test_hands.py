"""Running: threads and the event loop, contexts, and how many jobs run at once."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

import pytest
from core.loops import Faulty, Told, eventually, few_threads, running, states, threads

from jobcore.events import Kind
from jobcore.job import Job, JobContext
from jobcore.queue import Queue
from jobcore.worker import Worker


def drain(queue: Queue[Any], **options: Any) -> None:
    Worker(queue, monitor=False, **options).run(until_empty=True)


def test_a_job_class_takes_as_much_of_state_and_context_as_it_wants():
    queue = Queue("q", "memory://", state={"seen": []})

    @queue.job
    @dataclass(frozen=True)
    class Bare(Job):
        def run(self) -> None: ...

    @queue.job
    @dataclass(frozen=True)
    class WithState(Job[dict[str, list[Any]]]):
        def run(self, state: dict[str, list[Any]]) -> None:
            state["seen"].append(self)

    @queue.job(max_attempts=7)
    @dataclass(frozen=True)
    class WithBoth(Job[dict[str, list[Any]]]):
        async def run(self, state: dict[str, list[Any]], context: JobContext[Any]) -> None:
            state["seen"].append((self, context))

    queue.enqueue_many([Bare(), WithState()])
    id = queue.enqueue(WithBoth(), priority=3)
    drain(queue, concurrency=1)
    (_, context), plain = queue.binding.state["seen"]
    assert plain == WithState()
    assert (context.id, context.queue, context.name, context.priority) == (id, "q", "WithBoth", 3)
    assert (context.attempt, context.max_attempts, context.lost) == (1, 7, 0)
    assert context.state is queue.binding.state
    assert context.fence > 0
    assert context.pushed_at <= context.started_at
    assert context.started_at.tzinfo is not None
    assert context.logger is queue.logger


def test_a_function_with_context_is_given_it_before_its_arguments():
    queue = Queue("q", "memory://", state="shared")
    seen = []

    @queue.job(context=True)
    def plain(context: JobContext[str], number: int) -> None:
        seen.append((context.state, number))

    @queue.job(context=True)
    async def loopy(context: JobContext[str], number: int) -> None:
        seen.append((context.state, number))

    plain.enqueue(1)
    loopy.enqueue(2)
    drain(queue)
    assert sorted(seen) == [("shared", 1), ("shared", 2)]


def test_what_a_sync_job_returns_is_awaited_if_it_can_be():
    queue = Queue("q", "memory://", keep_succeeded=1)

    @queue.job
    def outer() -> Awaitable[str]:
        async def inner() -> str:
            await asyncio.sleep(0)
            return threading.current_thread().name

        return inner()

    id = outer.enqueue()
    drain(queue)
    entry = queue.find(id)
    assert entry is not None
    assert entry.value == b'"jobcore-loop"'


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_what_a_job_sets_in_its_context_is_not_seen_by_the_next(kind: str):
    queue, mark = Queue("q", "memory://"), contextvars.ContextVar("mark", default=0)
    seen = []

    @queue.job(name="sync")
    def sync_job(number: int) -> None:
        seen.append(mark.get())
        mark.set(number)

    @queue.job(name="async")
    async def async_job(number: int) -> None:
        seen.append(mark.get())
        mark.set(number)
        await asyncio.sleep(0)

    for number in range(1, 6):
        queue.enqueue_named(kind, {"number": number})
    drain(queue, concurrency=1)
    assert seen == [0] * 5


def test_an_async_job_s_task_has_the_job_s_name():
    seen: list[str] = []
    queue: Queue[None] = Queue("q", "memory://")

    @queue.job(name="resize")
    async def work() -> None:
        task = asyncio.current_task()
        assert task is not None
        seen.append(task.get_name())

    queue.enqueue(work.job())
    drain(queue)
    assert seen == ["resize"]


def test_no_more_jobs_run_at_once_than_there_are_hands():
    queue, lock = Queue("q", "memory://"), threading.Lock()
    now = most = 0

    def enter() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)

    def leave() -> None:
        nonlocal now
        with lock:
            now -= 1

    @queue.job
    def block(number: int) -> Awaitable[None] | None:
        enter()
        threading.Event().wait(0.001)
        if number % 3 == 0:
            return go_on()
        leave()
        return None

    @queue.job
    async def loopy(number: int) -> None:
        enter()
        await go_on()

    async def go_on() -> None:
        await asyncio.sleep(0.001)
        leave()

    queue.enqueue_many([job.job(number) for number in range(60) for job in (block, loopy)])
    drain(queue, concurrency=4)
    assert (now, most) == (0, 4)


@pytest.mark.parametrize("concurrency", [1, 3])
def test_sync_and_async_jobs_of_one_queue_both_make_progress(concurrency: int):
    queue = Queue("q", "memory://")
    order: list[str] = []

    @queue.job
    def blocking() -> None:
        order.append("sync")

    @queue.job
    async def waiting() -> None:
        order.append("async")

    queue.enqueue_many([blocking.job()] * 40 + [waiting.job()] * 40)
    drain(queue, concurrency=concurrency)
    assert sorted(order) == ["async"] * 40 + ["sync"] * 40


def test_an_async_job_is_not_held_up_by_sync_jobs_that_wait_for_it():
    queue, come = Queue("q", "memory://"), threading.Event()
    met = []

    @queue.job
    def first() -> None:
        met.append(come.wait(20))

    @queue.job
    async def second() -> None:
        come.set()

    first.enqueue()
    second.enqueue()
    drain(queue, concurrency=2)
    assert met == [True]


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_a_task_of_a_jobs_own_does_not_end_the_event_loop(error: type[BaseException]):
    queue, done, tasks = Queue("q", "memory://"), [], []

    async def burst() -> None:
        raise error

    @queue.job
    async def careless() -> None:
        tasks.append(asyncio.get_running_loop().create_task(burst()))
        await asyncio.wait(tasks)

    @queue.job
    async def sound() -> None:
        done.append(True)

    careless.enqueue()
    with running(Worker(queue, monitor=False)):
        eventually(lambda: states(queue) == {})
        sound.enqueue()
        eventually(lambda: done)
    assert isinstance(tasks[0].exception(), error)


def test_hands_survive_any_number_of_jobs_that_raise():
    queue = Queue("q", "memory://", keep_failed=0)
    ran = []

    @queue.job
    def fail(number: int) -> None:
        ran.append(number)
        raise SystemExit(number)

    queue.enqueue_many([fail.job(number) for number in range(200)])
    drain(queue, concurrency=2)
    assert sorted(ran) == list(range(200))


def test_a_validator_that_raises_anything_ends_no_hand():
    queue = Queue("q", "memory://")

    @queue.job
    @dataclass(frozen=True)
    class Strict(Job):
        number: int

        def __post_init__(self) -> None:
            if self.number < 0:
                raise SystemExit(self.number)

        def run(self) -> None: ...

    id = queue.enqueue(Strict(1))
    other = Queue("q", queue.backend)
    other.enqueue_named("Strict", {"number": -1}, id="bad")
    drain(queue, concurrency=1)
    assert queue.find(id) is None
    entry = queue.find("bad")
    assert entry is not None
    assert entry.state == "broken"


def test_a_worker_leaves_no_thread_behind():
    queue = Queue("q", "memory://", on_event=lambda events: None)

    @queue.job(timeout=30)
    def plain() -> None: ...

    @queue.job(timeout=30)
    async def loopy() -> None: ...

    for _ in range(3):
        plain.enqueue()
        loopy.enqueue()
        with Worker(queue):
            eventually(lambda: states(queue) == {})
    eventually(lambda: threads() == [])


@pytest.mark.parametrize("missing", ["jobcore-hand", "jobcore-loop", "jobcore-timeouts"])
def test_where_no_thread_can_start_jobs_wait_until_one_can(
    missing: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    backend, ran, told = Faulty(), list[int](), Told()
    queue = Queue("q", backend, keep_succeeded=10)

    @queue.job(timeout=60)
    def work(number: int) -> None:
        ran.append(number)

    @queue.job(timeout=60)
    async def later(number: int) -> None:
        ran.append(number)

    left = few_threads(monkeypatch, missing, 3)
    queue.enqueue_many([work.job(1), later.job(2), work.job(3), later.job(4)])
    with running(Worker(queue, monitor=False, concurrency=2, on_event=told)):
        eventually(lambda: states(queue) == {"succeeded": 4})
        eventually(lambda: left == [0] or missing == "jobcore-timeouts")
    assert sorted(ran) == [1, 2, 3, 4]
    assert not told.of(Kind.AWAY, Kind.REFUSED)
    assert caplog.text.count("no thread can be started for jobs") == (missing == "jobcore-hand")
