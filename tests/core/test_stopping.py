"""Stopping: in two steps, from anywhere, and leaving nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from contextlib import suppress
from typing import Any

import pytest
from core.loops import Faulty, Told, eventually, running, states, threads

from jobcore.backend import Entry
from jobcore.events import Kind
from jobcore.queue import Queue
from jobcore.worker import Worker


class Gate:
    """Jobs that run until they are let go."""

    def __init__(self, backend: Any = None) -> None:
        self.queue = Queue("q", backend or Faulty(), keep_succeeded=10)
        self.begun = threading.Semaphore(0)
        self.open = threading.Event()

        @self.queue.job(name="sync")
        def sync_job() -> None:
            self.begun.release()
            self.open.wait(20)

        @self.queue.job(name="async")
        async def async_job() -> None:
            self.begun.release()
            while not self.open.is_set():  # noqa: ASYNC110 -- a threading.Event is what the test sets
                await asyncio.sleep(0.001)

    def enqueue(self, kind: str, number: int = 1) -> None:
        for _ in range(number):
            self.queue.enqueue_named(kind, {})

    def await_begun(self, number: int = 1) -> None:
        for _ in range(number):
            assert self.begun.acquire(timeout=20)

    def entries(self, state: str) -> list[Entry]:
        return self.queue.entries(state).entries


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_what_runs_is_waited_for_and_settled_and_what_waits_goes_back_uncounted(kind: str):
    gate, told = Gate(), Told()
    gate.enqueue(kind, 5)
    worker = Worker(gate.queue, concurrency=2, monitor=False, on_event=told)
    with running(worker) as thread:
        gate.await_begun(2)
        worker.stop()
        eventually(lambda: states(gate.queue) == {"ready": 3, "running": 2})
        assert thread.is_alive()
        gate.open.set()
        thread.join(20)
        assert states(gate.queue) == {"ready": 3, "succeeded": 2}
    assert [entry.attempt for entry in gate.entries("ready")] == [0, 0, 0]


def test_after_the_grace_async_jobs_are_cancelled_and_returned_uncounted():
    gate, told = Gate(), Told()
    gate.enqueue("async", 3)
    worker = Worker(gate.queue, monitor=False, grace=0.05, on_event=told)
    with running(worker) as thread:
        gate.await_begun(3)
        worker.stop()
        thread.join(20)
        assert states(gate.queue) == {"ready": 3}
    assert [entry.attempt for entry in gate.entries("ready")] == [0, 0, 0]
    assert len(told.of(Kind.RETURNED)) == 3


def test_after_the_grace_sync_jobs_are_left_to_their_leases():
    gate = Gate()
    gate.enqueue("sync", 2)
    gate.enqueue("async")
    worker = Worker(gate.queue, monitor=False, grace=0.05)
    with running(worker) as thread:
        gate.await_begun(3)
        worker.stop()
        thread.join(20)
        assert states(gate.queue) == {"ready": 1, "running": 2}
    gate.open.set()
    eventually(lambda: threads() == [])
    assert states(gate.queue) == {"ready": 1, "running": 2}


def test_a_second_stop_does_not_wait_for_the_grace(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("jobcore.shift.LAST_SECONDS", 3600.0)  # nor for anything else
    gate = Gate()
    gate.enqueue("sync")
    gate.enqueue("async")
    worker = Worker(gate.queue, monitor=False, grace=3600)
    with running(worker) as thread:
        gate.await_begun(2)
        worker.stop()
        assert thread.is_alive()
        worker.stop(now=True)
        thread.join(20)
        assert not thread.is_alive()
        assert states(gate.queue) == {"ready": 1, "running": 1}
    gate.open.set()


def test_jobs_that_are_cancelled_just_before_they_begin_are_returned(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("jobcore.shift.LAST_SECONDS", 3600.0)
    for _ in range(30):
        gate = Gate()
        gate.enqueue("async", 40)
        worker = Worker(gate.queue, monitor=False, grace=0)
        with running(worker) as thread:
            eventually(lambda gate=gate: states(gate.queue).get("running"))
            worker.stop(now=True)
            thread.join(20)
            assert states(gate.queue) == {"ready": 40}


def test_a_job_that_fails_because_it_was_cancelled_is_returned():
    queue, begun = Queue("q", "memory://"), threading.Event()

    @queue.job
    async def untidy() -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            raise RuntimeError("the connection is gone")

    untidy.enqueue()
    with running(Worker(queue, monitor=False, grace=0)):
        assert begun.wait(20)
    assert states(queue) == {"ready": 1}


def test_a_job_that_ends_well_though_it_was_cancelled_has_succeeded():
    queue, begun = Queue("q", "memory://", keep_succeeded=1), threading.Event()

    @queue.job
    async def dutiful() -> None:
        begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)

    dutiful.enqueue()
    with running(Worker(queue, monitor=False, grace=0)):
        assert begun.wait(20)
    assert states(queue) == {"succeeded": 1}


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("way", ["run", "step", "with"])
def test_a_job_can_stop_its_worker(kind: str, way: str):
    queue = Queue("q", "memory://", keep_succeeded=10)

    @queue.job(name="sync")
    def sync_job() -> None:
        worker.stop()

    @queue.job(name="async")
    async def async_job() -> None:
        worker.stop()

    queue.enqueue_named(kind, {})
    worker = Worker(queue, monitor=False)
    if way == "run":
        worker.run()
    elif way == "step":
        assert worker.step() == 1
    else:
        with worker:
            eventually(lambda: states(queue) == {"succeeded": 1})
    assert states(queue) == {"succeeded": 1}
    eventually(lambda: threads() == [])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_stops_and_the_second_stops_at_once(number: signal.Signals):
    gate = Gate()
    gate.enqueue("async", 2)
    before = signal.getsignal(number)

    def signal_twice() -> None:
        gate.await_begun(2)
        os.kill(os.getpid(), number)
        eventually(lambda: worker._shift.stopping)
        os.kill(os.getpid(), number)

    worker = Worker(gate.queue, monitor=False, grace=3600)
    helper = threading.Thread(target=signal_twice)
    helper.start()
    worker.run()
    helper.join()
    assert states(gate.queue) == {"ready": 2}
    assert signal.getsignal(number) is before


def test_stopping_twice_or_before_it_runs_does_no_harm():
    queue = Queue("q", "memory://")

    @queue.job
    def work() -> None: ...

    work.enqueue()
    worker = Worker(queue)
    worker.stop()
    worker.stop()
    worker.run()
    with worker:
        pass
    assert worker.step() == 0
    assert states(queue) == {"ready": 1}
    assert threads() == []


def test_the_block_of_a_worker_ends_when_it_has_stopped():
    gate = Gate()

    async def main() -> None:
        async with Worker(gate.queue):
            gate.enqueue("async")
            await asyncio.to_thread(gate.await_begun)
            gate.open.set()
        assert states(gate.queue) == {"succeeded": 1}

    asyncio.run(main())
    eventually(lambda: threads() == [])


def test_a_worker_runs_again_after_it_found_all_empty():
    queue, ran = Queue("q", "memory://"), []

    @queue.job
    def plain(number: int) -> None:
        ran.append(number)

    @queue.job
    async def loopy(number: int) -> None:
        ran.append(number)

    worker = Worker(queue)
    for number in range(3):
        plain.enqueue(number)
        loopy.enqueue(number)
        worker.run(until_empty=True)
    assert sorted(ran) == [0, 0, 1, 1, 2, 2]


def test_what_was_claimed_by_a_call_without_answer_goes_back_at_a_stop():
    backend = Faulty()
    queue = Queue("q", backend)

    @queue.job
    def work() -> None:
        raise AssertionError("not begun")

    backend.lose("claim")
    id = work.enqueue()
    worker = Worker(queue, monitor=False)
    with running(worker) as thread:
        eventually(lambda: states(queue) == {"running": 1})
        worker.stop()
        thread.join(20)
        entry = queue.find(id)
        assert entry is not None
        assert (entry.state, entry.attempt, entry.lost) == ("ready", 0, 0)


def test_a_queue_that_is_closed_ends_its_worker():
    queue = Queue("q", "memory://")
    with running(Worker(queue)) as thread:
        eventually(lambda: "jobcore-wait" in threads())
        queue.close()
        thread.join(20)
        assert not thread.is_alive()
    eventually(lambda: threads() == [])


def test_a_sync_job_that_returns_an_awaitable_after_its_worker_left_starts_nothing():
    queue, begun, release = Queue("q", "memory://"), threading.Event(), threading.Event()
    awaited = []

    @queue.job
    def late() -> Any:
        async def go_on() -> None:
            awaited.append(True)

        begun.set()
        release.wait(20)
        return go_on()

    late.enqueue()
    with running(Worker(queue, monitor=False, grace=0)):
        assert begun.wait(20)
    release.set()
    eventually(lambda: threads() == [])
    assert awaited == []
    assert states(queue) == {"running": 1}


class Panic(BaseException):
    """As a library in Rust raises it."""


@pytest.mark.parametrize("bad", [0, 1])
def test_a_mover_that_breaks_down_takes_the_others_along(bad: int, monkeypatch: pytest.MonkeyPatch):
    """Else they would go on claiming, with nobody to run what they claim."""
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    backends = [Faulty(), Faulty()]
    first, second = (Queue(f"{number}", backend) for number, backend in enumerate(backends))

    def panic(verb: str) -> None:
        if verb == "claim":
            raise Panic

    backends[bad].after = panic
    worker = Worker(first, second, monitor=False)
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    eventually(lambda: threads() == [])
