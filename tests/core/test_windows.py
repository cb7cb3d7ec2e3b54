"""What a worker that dies takes along: jobs that it held ahead of its hands, and jobs that it had not settled yet."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from core.loops import Faulty, eventually, running, states, turns_of

from jobcore.backends.memory import MemoryBackend
from jobcore.errors import InvalidArgument
from jobcore.monitor import Monitor
from jobcore.queue import Queue
from jobcore.testing import ManualClock
from jobcore.worker import Worker

HANDS, QUICK, LONG = 2, 2000, 40


class Scene:
    """A queue of quick jobs and then of long ones, which are let go by `release`; `ran` are those that have begun."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.backend = Faulty(MemoryBackend(self.clock))
        self.queue: Queue[None] = Queue("q", self.backend)
        self.begun, self.release, self.ran = threading.Semaphore(0), threading.Event(), list[int]()

        @self.queue.job
        def work(number: int) -> None:
            self.ran.append(number)
            if number >= QUICK:
                self.begun.release()
                self.release.wait(20)

        self.queue.enqueue_many([work.job(number) for number in range(QUICK + LONG)])

    @contextmanager
    def at_work(self, **options: Any) -> Iterator[Worker]:
        """A worker that has run the quick jobs, and has a long one in each hand."""
        worker = Worker(self.queue, monitor=False, concurrency=HANDS, grace=20, **options)
        with running(worker):
            for _ in range(HANDS):
                assert self.begun.acquire(timeout=20)
            yield worker
            self.backend.away = False
            self.release.set()


def claimed_at_most(backend: Faulty) -> int:
    """The largest limit that a claim had."""
    return max(args[1] for verb, args in backend.sent if verb == "claim")


@pytest.mark.parametrize(("prefetch", "most"), [(1, HANDS), (3, 3 * HANDS)])
def test_prefetch_bounds_what_is_held_for_each_hand(prefetch: int, most: int):
    scene = Scene()
    with scene.at_work(prefetch=prefetch):
        pass
    assert claimed_at_most(scene.backend) <= most


def test_without_a_bound_what_should_start_soon_is_held_ahead():
    scene = Scene()
    with scene.at_work():
        pass
    assert claimed_at_most(scene.backend) > 3 * HANDS


@pytest.mark.parametrize("options", [{}, {"prefetch": 1}, {"settle_every": 0}, {"prefetch": 1, "settle_every": 0}])
def test_what_a_dead_worker_held_runs_again_and_nothing_else(options: dict[str, Any]):
    scene = Scene()
    inner = scene.backend.inner
    with scene.at_work(**options):
        eventually(lambda: inner.counts("q").running == HANDS)  # all quick jobs are settled, all ahead is given back
        scene.backend.away = True  # as if the worker were dead
        scene.clock.advance(200)
        scene.release.set()
        with scene.queue.using(inner):
            assert Monitor(scene.queue).step() == HANDS
            Worker(scene.queue, monitor=False).run(until_empty=True)
            assert states(scene.queue) == {}
        scene.backend.away = False
    again = [number for number, runs in Counter(scene.ran).items() if runs > 1]
    assert sorted(scene.ran) == sorted([*range(QUICK + LONG), *again])
    assert sorted(again) == [QUICK, QUICK + 1]


@pytest.mark.parametrize(("settle_every", "unsettled"), [(0, 0), (0.003, 10)])
def test_with_0_a_finished_job_waits_for_no_other(settle_every: float, unsettled: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("jobcore.clocks.steady", lambda: 1000.0)  # no time passes
    queue: Queue[None] = Queue("q", "memory://")
    release, ran = threading.Event(), list[str]()

    @queue.job
    def work(kind: str) -> None:
        if kind == "long":
            release.wait(20)
        ran.append(kind)

    queue.enqueue_many([work.job("long"), *[work.job("quick")] * 10])
    worker = Worker(queue, monitor=False, concurrency=16, settle_every=settle_every)
    with running(worker):
        turns = turns_of(worker)
        eventually(lambda: ran == ["quick"] * 10)
        before = turns()
        eventually(lambda: turns() > before + 3 or states(queue) == {"running": 1})
        assert states(queue) == {"running": 1 + unsettled}
        release.set()


@pytest.mark.parametrize("bad", [{"prefetch": 0}, {"prefetch": True}, {"prefetch": 1.5}, {"settle_every": -1}])
def test_windows_without_sense_are_refused(bad: dict[str, Any]):
    with pytest.raises(InvalidArgument, match=next(iter(bad))):
        Worker(Queue("q", "memory://"), **bad)
