"""Timeouts: of async jobs, of sync ones, and of those that don't stop."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Awaitable
from contextlib import suppress
from time import perf_counter
from typing import Any

import pytest
from core.loops import Told, eventually, pause, running, states, threads, turns_of

from jobcore.backend import Entry, State
from jobcore.events import Kind
from jobcore.job import JobTimeout, LinearBackoff
from jobcore.queue import Queue
from jobcore.worker import Worker

SOON = 0.02


def spin(seconds: float) -> None:
    end = perf_counter() + seconds
    while perf_counter() < end:
        pass


def entry_of(queue: Queue[Any], id: str) -> Entry:
    entry = queue.find(id)
    assert entry is not None
    return entry


def run_once(queue: Queue[Any], id: str) -> Entry:
    Worker(queue, monitor=False, concurrency=2).run(until_empty=True)
    return entry_of(queue, id)


def test_an_async_job_is_cancelled_at_its_timeout():
    queue, ended = Queue("q", "memory://", max_attempts=1), []

    @queue.job(timeout=SOON)
    async def sleep() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append(True)
            raise

    entry = run_once(queue, sleep.enqueue())
    assert (entry.state, entry.reason, ended) == (State.TIMED_OUT, "timed out after 0.02 s", [True])


def test_a_sync_job_gets_jobtimeout_at_its_next_bytecode():
    queue, ended = Queue("q", "memory://", max_attempts=1), []

    @queue.job(timeout=SOON)
    def loop() -> None:
        try:
            spin(60)
        except JobTimeout:
            ended.append(True)
            raise

    assert run_once(queue, loop.enqueue()).state is State.TIMED_OUT
    assert ended == [True]


@pytest.mark.parametrize("kind", ["sync", "async", "mixed"])
@pytest.mark.parametrize("end", ["returns", "raises", "retries"])
def test_a_job_whose_timeout_fired_is_timed_out_whatever_it_does_then(kind: str, end: str):
    queue = Queue("q", "memory://", max_attempts=1)

    def answer() -> str:
        if end == "raises":
            raise ValueError("late")
        return "late"

    @queue.job(name="sync", timeout=SOON)
    def sync_job() -> str:
        with suppress(JobTimeout):
            spin(60)
        return answer()

    @queue.job(name="async", timeout=SOON)
    async def async_job() -> str:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        return answer()

    @queue.job(name="mixed", timeout=SOON)
    def mixed_job() -> Awaitable[str]:
        async def go_on() -> str:
            return answer()

        with suppress(JobTimeout):
            spin(60)
        return go_on()

    entry = run_once(queue, queue.enqueue_named(kind, {}))
    assert entry.state is State.TIMED_OUT
    assert entry.reason is not None
    assert entry.reason.startswith("timed out after 0.02 s")


def test_a_timed_out_job_runs_again_while_attempts_are_left():
    queue, runs = Queue("q", "memory://", max_attempts=3, backoff=LinearBackoff(0)), []

    @queue.job(timeout=SOON)
    def loop() -> None:
        runs.append(True)
        spin(60)

    entry = run_once(queue, loop.enqueue())
    assert (entry.state, entry.attempt, len(runs)) == (State.TIMED_OUT, 3, 3)


def test_a_job_that_ends_in_time_is_not_touched():
    queue = Queue("q", "memory://", keep_succeeded=100)

    @queue.job(timeout=60)
    def quick() -> None: ...

    @queue.job(timeout=60)
    async def loopy() -> None:
        await asyncio.sleep(0)

    queue.enqueue_many([quick.job(), loopy.job()] * 20)
    Worker(queue, monitor=False).run(until_empty=True)
    assert states(queue) == {"succeeded": 40}


@pytest.mark.parametrize("timeout", [0.000001, 0.0005, 0.002])
def test_jobtimeout_reaches_neither_the_next_job_nor_jobcore(timeout: float):
    """Thousands of jobs that end right at their timeout, each followed by one that must not notice."""
    queue = Queue("q", "memory://", max_attempts=1, keep_failed=10_000, keep_succeeded=10_000)
    hurt = []

    @queue.job(timeout=timeout)
    def close(share: float) -> None:
        spin(timeout * share)

    @queue.job
    def next_one() -> None:
        try:
            spin(0.00002)
        except BaseException as error:  # noqa: BLE001 -- any is a leak
            hurt.append(error)

    jobs = [job for number in range(700) for job in (close.job(0.5 + number % 10 / 10), next_one.job())]
    queue.enqueue_many(jobs)
    Worker(queue, monitor=False, concurrency=2).run(until_empty=True)
    assert hurt == []
    left = states(queue)
    assert left.pop("succeeded") >= 700
    assert set(left) <= {"timed_out"}
    assert sum(queue.counts().__getattribute__(state) for state in ("succeeded", "timed_out")) == 1400


def test_a_short_timeout_behind_a_long_one_fires_in_time():
    queue, release, fired = Queue("q", "memory://", max_attempts=1), threading.Event(), threading.Event()

    @queue.job(timeout=3600)
    def long() -> None:
        release.wait(20)

    @queue.job(timeout=SOON)
    def short() -> None:
        try:
            spin(20)
        finally:
            fired.set()

    long.enqueue()
    with running(Worker(queue, monitor=False)):
        eventually(lambda: states(queue) == {"running": 1})
        id = short.enqueue()
        eventually(lambda: fired.is_set() and entry_of(queue, id).state is State.TIMED_OUT)
        release.set()


def test_a_timeout_of_a_million_years_is_none():
    queue = Queue("q", "memory://", max_attempts=1)

    @queue.job(timeout=3e13)
    def patient() -> None: ...

    @queue.job(timeout=SOON)
    def short() -> None:
        spin(20)

    patient.enqueue()
    assert run_once(queue, short.enqueue()).state is State.TIMED_OUT


def test_a_stuck_job_keeps_its_hand_and_loses_its_lease_and_is_named():
    queue, told, release = Queue("q", "memory://"), Told(), threading.Event()

    @queue.job(timeout=SOON)
    def stuck() -> None:
        while not release.is_set():
            with suppress(JobTimeout):
                release.wait(20)

    ran = []

    @queue.job
    def other() -> None:
        ran.append(True)

    id = stuck.enqueue()
    with running(Worker(queue, concurrency=3, grace=SOON, monitor=False, lease=0.3, on_event=told)):
        eventually(lambda: told.of(Kind.STUCK))
        (event,) = told.of(Kind.STUCK)
        assert (event.id, event.name, event.queue) == (id, "stuck", "q")
        assert "lease is let go" in event.reason
        other.enqueue()
        eventually(lambda: ran)
        backend = queue.backend
        eventually(lambda: backend.reclaim("q", 1, 60_000_000, "other", b"c" * 16))  # nobody extends it
        release.set()
        eventually(lambda: told.of(Kind.REFUSED))
    assert states(queue) == {"running": 1}


def test_a_stuck_job_that_ends_says_how_long_it_ran_on():
    queue, told, release = Queue("q", "memory://", max_attempts=1), Told(), threading.Event()

    @queue.job(timeout=0.001)
    def stuck() -> None:
        while not release.is_set():
            with suppress(JobTimeout):
                release.wait(1.2)
                return

    id = stuck.enqueue()
    with running(Worker(queue, grace=0, concurrency=4, monitor=False, on_event=told)):
        eventually(lambda: told.of(Kind.STUCK, Kind.TIMED_OUT))
        release.set()
        eventually(lambda: entry_of(queue, id).state is State.TIMED_OUT)


def test_with_half_of_its_hands_gone_a_worker_claims_no_more_until_one_is_back():
    queue, told, release, ran = Queue("q", "memory://"), Told(), threading.Event(), []

    @queue.job(timeout=SOON)
    def stuck() -> None:
        while not release.is_set():
            with suppress(JobTimeout):
                release.wait(20)

    @queue.job
    def other() -> None:
        ran.append(True)

    stuck.enqueue()
    worker = Worker(queue, concurrency=2, grace=0, monitor=False, on_event=told)
    with running(worker):
        eventually(lambda: told.of(Kind.STUCK))
        other.enqueue()
        turns = turns_of(worker)
        eventually(lambda: states(queue) == {"ready": 1, "running": 1})
        pause()
        assert not ran
        assert turns() < 50
        release.set()
        eventually(lambda: ran)


def test_a_replaceable_worker_stops_when_half_of_its_hands_are_gone():
    queue, release = Queue("q", "memory://"), threading.Event()

    @queue.job(timeout=SOON)
    def stuck() -> None:
        while not release.is_set():
            with suppress(JobTimeout):
                release.wait(20)

    stuck.enqueue()
    worker = Worker(queue, concurrency=2, grace=0.01, monitor=False, replaceable=True)
    worker.run()
    assert states(queue) == {"running": 1}
    release.set()
    eventually(lambda: threads() == [])


LATE = """
import sys, threading
from types import SimpleNamespace
from jobcore import JobTimeout
from jobcore.timeouts import _Alarm, _raise_in

task = SimpleNamespace(expired=False)
alarm = _Alarm(task, 0.0, None)
arrived = []

def run():
    alarm.thread = threading.get_ident()
    try:
        alarm.end()
    except JobTimeout:
        arrived.append("within jobcore's reach")

with alarm.guard:  # so that the exception comes while `end` is under way
    thread = threading.Thread(target=run)
    thread.start()
    while alarm.thread is None:
        pass
    task.expired = True
    _raise_in(thread.ident, JobTimeout)
thread.join()
sys.settrace(lambda *_: None)  # what a debugger and coverage do
sum(range(3), (lambda: 0)())
sys.settrace(None)
print(*arrived)
"""


def test_a_timeout_that_arrives_late_leaves_the_interpreter_as_it_was():
    done = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "within jobcore's reach\n"
