"""Two things done at once: what is settled, and what is claimed meanwhile."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from core.loops import Faulty, eventually, states

from jobcore import JobContext, Queue, Retry, Worker
from jobcore.aside import Aside
from jobcore.backends.memory import MemoryBackend
from jobcore.run import Task
from jobcore.shift import Lane, Shift

BOUND = 20.0


@pytest.fixture
def aside() -> Iterator[Aside]:
    aside = Aside()
    yield aside
    aside.close()


class Meeting(MemoryBackend):
    """A store whose first settlement is answered once a second claim has come."""

    def __init__(self) -> None:
        super().__init__()
        self.claims, self.second, self.met = 0, threading.Event(), False

    def settle(self, *given: Any) -> Any:
        self.met = self.second.wait(BOUND)
        return super().settle(*given)

    def claim(self, *given: Any) -> Any:
        self.claims += 1
        if self.claims == 2:
            self.second.set()
        return super().claim(*given)


def test_a_worker_claims_while_it_settles() -> None:
    backend = Meeting()
    queue: Queue[None] = Queue("q", backend)

    @queue.job
    def work() -> None: ...

    queue.enqueue_many([work.job()] * 3)
    Worker(queue, monitor=False, concurrency=1, prefetch=1).run(until_empty=True)
    assert backend.met


class Watched(set[Task]):
    """What a lane holds; looks at the moment when something has been settled, as who claims meanwhile may."""

    shift: Shift
    seen: bool

    def difference_update(self, *others: Iterable[object]) -> None:
        super().difference_update(*others)
        self.seen = self.shift.emptied


def test_who_claims_while_a_job_is_put_back_does_not_take_the_queue_for_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = Faulty()
    queue: Queue[None] = Queue("q", backend)

    @queue.job(context=True)
    def work(context: JobContext[None]) -> Retry | None:
        eventually(lambda: backend.calls["claim"] > context.attempt)  # of which the last gave nothing
        return Retry(delay=0) if context.attempt == 1 else None

    class WatchedLane(Lane):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            self.held = Watched()

    monkeypatch.setattr("jobcore.worker.Lane", WatchedLane)
    worker = Worker(queue, monitor=False, concurrency=2, poll_interval=0.01)
    monkeypatch.setattr(Watched, "shift", worker._shift, raising=False)
    work.enqueue()
    worker.run(until_empty=True)
    assert states(queue) == {}


def test_both_are_done_at_once(aside: Aside) -> None:
    met = threading.Barrier(2)
    for _ in range(2):
        aside.both(lambda: met.wait(BOUND), lambda: met.wait(BOUND))


def test_it_waits_for_the_other_though_its_own_has_failed(aside: Aside) -> None:
    failed, done = threading.Event(), []

    def other() -> None:
        done.append(failed.wait(BOUND))

    def own() -> None:
        try:
            raise KeyError("own")
        finally:
            failed.set()

    with pytest.raises(KeyError, match="own"):
        aside.both(other, own)
    assert done == [True]


def test_what_the_other_raises_is_raised_once(aside: Aside) -> None:
    done = []
    with pytest.raises(ZeroDivisionError):
        aside.both(lambda: 1 // 0, lambda: done.append("own"))
    aside.both(lambda: done.append("other"), lambda: None)
    assert done == ["own", "other"]


class Panic(BaseException):
    """As a library in Rust raises it."""


def test_also_what_is_no_exception_is_raised_to_who_asked(aside: Aside) -> None:
    def other() -> None:
        raise Panic

    for _ in range(2):
        with pytest.raises(Panic):
            aside.both(other, lambda: None)


def test_who_was_interrupted_waiting_waits_the_next_time_for_what_is_done_then(aside: Aside) -> None:
    """A signal's handler may raise, and Python calls it in the main thread, whatever that waits for."""
    first, second, done = threading.Event(), threading.Event(), list[str]()
    before = signal.signal(signal.SIGUSR1, lambda *_: 1 // 0)

    def other() -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
        first.wait(BOUND)

    try:
        with pytest.raises(ZeroDivisionError):
            aside.both(other, lambda: None)
    finally:
        signal.signal(signal.SIGUSR1, before)
    first.set()
    threading.Timer(0.05, second.set).start()
    aside.both(lambda: done.append(f"{second.wait(BOUND)}"), lambda: None)
    assert done == ["True"]


def test_where_no_thread_can_start_both_are_done_in_turn(aside: Aside, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    done = []
    with monkeypatch.context() as within:
        within.setattr(threading.Thread, "start", refused)
        aside.both(lambda: done.append("other"), lambda: done.append("own"))
    assert done == ["other", "own"]
    met = threading.Barrier(2)
    aside.both(lambda: met.wait(BOUND), lambda: met.wait(BOUND))
