"""What the ancestors do, each named; on memory, through the real worker and monitor.

hworker kept its jobs in Redis, IHP.Job.Queue in PostgreSQL. What only a database can show is in tests/drivers.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from core.loops import Told, eventually, running, states

from jobcore.backend import Claimed, Push, State
from jobcore.backends.memory import MemoryBackend
from jobcore.debug import debugger
from jobcore.events import Kind
from jobcore.job import (
    DAY,
    ExceptionBehavior,
    ExponentialBackoff,
    Failure,
    Job,
    LinearBackoff,
    Policy,
    Result,
    Retry,
    Success,
)
from jobcore.monitor import Monitor
from jobcore.queue import Queue
from jobcore.testing import ManualClock
from jobcore.worker import Worker

SECOND = 1_000_000


@dataclass
class Tape:
    """A state that is passed to each job."""

    played: list[str]


@dataclass(frozen=True)
class Play(Job[Tape]):
    """A job with typed fields, which does as it is told."""

    title: str
    result: str = "success"

    def run(self, tape: Tape) -> Result | None:
        tape.played.append(self.title)
        if self.result == "raise":
            raise ConnectionError("no tape")
        return {"success": Success(), "retry": Retry("jammed", delay=0), "failure": Failure("torn")}[self.result]


class Studio:
    """A queue of such jobs on a store whose clock is moved by hand."""

    def __init__(self, **options: Any) -> None:
        self.clock = ManualClock()
        self.backend = MemoryBackend(self.clock)
        self.tape = Tape([])
        self.queue = Queue("tapes", self.backend, jobs=[Play], state=self.tape, **options)

    def run(self) -> None:
        Worker(self.queue, concurrency=1, monitor=False).run(until_empty=True)

    def die_holding(self, limit: int = 100, lease: float = 120) -> None:
        self.backend.claim("tapes", limit, round(lease * SECOND), "dead", b"a worker that di", 2**30)


# -- hworker


def test_hworker_success_leaves_nothing_behind():
    studio = Studio()
    studio.queue.enqueue(Play("a"))
    studio.run()
    assert studio.tape.played == ["a"]
    assert states(studio.queue) == {}


def test_hworker_retry_runs_again_and_failure_does_not():
    studio = Studio(max_attempts=3)
    studio.queue.enqueue(Play("a", "retry"))
    studio.queue.enqueue(Play("b", "failure"))
    studio.run()
    assert sorted(studio.tape.played) == ["a", "a", "a", "b"]
    assert studio.queue.failed() == [Play("a", "retry"), Play("b", "failure")]


def test_hworker_retry_goes_to_the_back_and_recovery_to_the_front():
    studio = Studio(max_attempts=2)
    for title, result in (("a", "retry"), ("b", "success"), ("c", "success")):
        studio.queue.enqueue(Play(title, result))
    studio.die_holding(limit=1)
    studio.clock.advance(120)
    assert Monitor(studio.queue).step() == 1
    assert [job.title for job in studio.queue.jobs()] == ["a", "b", "c"]
    studio.run()
    assert studio.tape.played == ["a", "b", "c", "a"]


def test_hworker_an_exception_is_a_failure_unless_it_is_said_to_be_a_retry():
    for behavior, times in ((None, 1), (ExceptionBehavior.FAIL, 1), (ExceptionBehavior.RETRY, 2)):
        options: dict[str, Any] = {} if behavior is None else {"on_exception": behavior}
        studio = Studio(max_attempts=2, backoff=LinearBackoff(0), **options)
        studio.queue.enqueue(Play("a", "raise"))
        studio.run()
        assert studio.tape.played == ["a"] * times
        assert studio.queue.failed() == [Play("a", "raise")]


def test_hworker_each_job_is_passed_the_state():
    studio = Studio()
    studio.queue.enqueue_many([Play("a"), Play("b")])
    studio.run()
    assert studio.tape.played == ["a", "b"]


def test_hworker_payloads_are_typed_and_stored_as_json():
    studio = Studio()
    id = studio.queue.enqueue(Play("a"))
    entry = studio.queue.find(id)
    assert entry is not None
    assert entry.payload == b'{"job":"Play","args":{"title":"a","result":"success"}}'


def test_hworker_what_does_not_decode_is_kept_with_its_time():
    studio = Studio()
    studio.backend.push("tapes", [Push("id", b'{"title": "of another program"}')])
    studio.run()
    ((payload, since),) = studio.queue.broken()
    assert payload == b'{"title": "of another program"}'
    assert since == datetime.fromtimestamp(studio.clock.now() / SECOND, UTC)


def test_hworker_a_job_is_given_up_after_120_seconds_of_silence():
    studio, begun, release = Studio(), threading.Event(), threading.Event()

    @studio.queue.job
    def hang() -> None:
        begun.set()
        release.wait(20)

    hang.enqueue()
    with running(Worker(studio.queue, monitor=False)):
        assert begun.wait(20)
        studio.clock.advance(119.999999)
        assert Monitor(studio.queue).step() == 0
        studio.clock.advance(0.000001)
        assert Monitor(studio.queue).step() == 1
        release.set()


def test_hworker_the_newest_1000_failed_jobs_are_kept():
    studio = Studio()
    studio.queue.enqueue_many([Play(str(number), "failure") for number in range(1100)])
    studio.run()
    assert {job.title for job in studio.queue.failed()} == {str(number) for number in range(100, 1100)}


def test_hworker_an_existing_connection_is_used_and_stays_open():
    backend = MemoryBackend()
    queue = Queue("tapes", backend, jobs=[Play], state=Tape([]))
    queue.enqueue(Play("a"))
    queue.close()
    assert backend.counts("tapes").ready == 1


def test_hworker_a_logger_can_be_chosen(caplog: pytest.LogCaptureFixture):
    studio = Studio(logger=logging.getLogger("the.studio"))
    studio.queue.enqueue(Play("a", "failure"))
    studio.run()
    assert [(record.name, "torn" in record.message) for record in caplog.records] == [("the.studio", True)]


def test_hworker_destroy_clears_everything():
    studio = Studio(keep_succeeded=5)
    studio.backend.push("tapes", [Push("id", b"rubbish")])
    for result in ("success", "failure", "retry"):
        studio.queue.enqueue(Play("a", result))
    studio.run()
    studio.queue.enqueue(Play("b"), delay=60)
    studio.queue.destroy()
    assert states(studio.queue) == {}


def test_hworker_any_number_of_workers_and_monitors_share_the_work():
    queue = Queue("tapes", MemoryBackend(), jobs=[Play], state=(tape := Tape([])))
    workers = [Worker(queue, concurrency=2) for _ in range(3)]
    threads = [threading.Thread(target=worker.run) for worker in workers]
    for thread in threads:
        thread.start()
    queue.enqueue_many([Play(str(number)) for number in range(200)])
    eventually(lambda: states(queue) == {})
    for worker in workers:
        worker.stop()
    for thread in threads:
        thread.join(20)
    assert sorted(tape.played) == sorted(map(str, range(200)))


def test_hworker_a_monitor_looks_every_tenth_of_the_timeout():
    assert Monitor(Queue("q", "memory://"), lease=50)._interval == 5
    assert Monitor(Queue("q", "memory://"))._interval == 12


def test_hworker_jobs_failed_and_broken_are_listed():
    studio = Studio()
    studio.backend.push("tapes", [Push("id", b"rubbish")])
    studio.queue.enqueue(Play("a", "failure"))
    studio.run()
    studio.queue.enqueue(Play("b"))
    assert studio.queue.jobs() == [Play("b")]
    assert studio.queue.failed() == [Play("a", "failure")]
    assert [payload for payload, _ in studio.queue.broken()] == [b"rubbish"]


def test_hworker_its_debugger_prints_what_waits_and_what_runs_at_intervals():
    studio, pages, stop = Studio(), list[str](), threading.Event()

    def write(page: str) -> None:
        pages.append(page)
        if len(pages) == 3:
            stop.set()

    studio.queue.enqueue_many([Play("a"), Play("b")])
    studio.die_holding(limit=1)
    debugger(studio.queue, 0.001, stop=stop, write=write)
    assert len(pages) == 3
    assert repr(Play("b")) in pages[0].split("running  ")[0]
    assert repr(Play("a")) in pages[0].split("running  ")[1]


# -- IHP.Job.Queue


def test_ihp_fetching_a_job_marks_it_running_and_counts_the_attempt():
    studio = Studio()
    id = studio.queue.enqueue(Play("a"))
    studio.die_holding()
    entry = studio.queue.find(id)
    assert entry is not None
    assert (entry.state, entry.holder, entry.attempt, entry.started_at) == ("running", "dead", 1, studio.clock.now())


def test_ihp_pending_is_what_is_not_started_or_retried_and_unlocked_and_due():
    studio = Studio(max_attempts=5)
    studio.queue.enqueue(Play("later"), run_at=datetime.fromtimestamp(studio.clock.now() / SECOND + 60, UTC))
    studio.queue.enqueue(Play("now"))
    studio.die_holding()
    studio.queue.enqueue(Play("next"))
    assert studio.queue.jobs() == [Play("next")]
    studio.clock.advance(60)
    assert studio.queue.jobs() == [Play("next"), Play("later")]


def test_ihp_a_job_for_later_is_found_when_its_time_has_come_though_nothing_else_happens():
    studio = Studio()
    studio.queue.enqueue(Play("later"), delay=60)
    with running(Worker(studio.queue, monitor=False, poll_interval=3600)):
        studio.clock.advance(60)
        eventually(lambda: studio.tape.played == ["later"])


def test_ihp_a_failed_job_keeps_its_last_error_and_is_retried_after_its_backoff():
    studio = Studio(max_attempts=2, on_exception=ExceptionBehavior.RETRY, backoff=LinearBackoff(30))
    id = studio.queue.enqueue(Play("a", "raise"))
    studio.run()
    entry = studio.queue.find(id)
    assert entry is not None
    assert (entry.state, entry.place) == ("scheduled", studio.clock.now() + 30 * SECOND)
    assert (entry.reason or "").startswith("ConnectionError: no tape")
    studio.clock.advance(30)
    studio.run()
    entry = studio.queue.find(id)
    assert entry is not None
    assert (entry.state, entry.attempt) == ("failed", 2)


def test_ihp_a_job_that_times_out_is_retried_and_then_timed_out():
    queue, runs = Queue("q", MemoryBackend(), max_attempts=2, backoff=LinearBackoff(0)), []

    @queue.job(timeout=0.02)
    async def sleep() -> None:
        runs.append(True)
        await asyncio.sleep(60)

    sleep.enqueue()
    Worker(queue, monitor=False).run(until_empty=True)
    assert len(runs) == 2
    assert states(queue) == {"timed_out": 1}


def test_ihp_backoff_is_linear_or_doubles_up_to_a_day():
    linear, doubling = LinearBackoff(7), ExponentialBackoff(10, jitter=0)
    assert [linear(attempt) for attempt in (1, 2, 50)] == [7, 7, 7]
    assert [doubling(attempt) for attempt in (1, 2, 3, 4)] == [10, 20, 40, 80]
    assert doubling(50) == DAY


@pytest.mark.parametrize(("hours", "state"), [(23, "ready"), (25, "failed")])
def test_ihp_stale_jobs_are_retried_and_after_a_day_failed(hours: int, state: str):
    studio = Studio()
    id = studio.queue.enqueue(Play("a"))
    studio.die_holding()
    studio.clock.advance(hours * 3600)
    Monitor(studio.queue).step()
    entry = studio.queue.find(id)
    assert entry is not None
    assert entry.state == state


def test_ihp_defaults_are_ten_attempts_and_sixteen_at_once():
    assert Policy().max_attempts == 10
    assert Policy().timeout is None
    begun, release = threading.Semaphore(0), threading.Event()
    queue = Queue("q", "memory://")

    @queue.job
    def hold() -> None:
        begun.release()
        release.wait(20)

    queue.enqueue_many([hold.job()] * 17)
    with running(Worker(queue, monitor=False)):
        for _ in range(16):
            assert begun.acquire(timeout=20)
        eventually(lambda: states(queue) == {"running": 16, "ready": 1})
        release.set()
        eventually(lambda: states(queue) == {})


def test_ihp_a_wake_never_blocks_and_is_bounded():
    """However many jobs are pushed while a worker is busy, it is told once."""
    queue, begun, release = Queue("q", "memory://"), threading.Event(), threading.Event()

    @queue.job
    def hold() -> None:
        begun.set()
        release.wait(20)

    worker = Worker(queue, monitor=False, concurrency=1)
    with running(worker):
        hold.enqueue()
        assert begun.wait(20)
        for _ in range(200):
            hold.enqueue()
        assert worker._shift.movers[0].bell._rung.qsize() <= 2
        release.set()
        eventually(lambda: states(queue) == {})


def test_ihp_a_stop_is_graceful_and_a_second_one_cancels():
    queue, begun, told = Queue("q", "memory://"), threading.Event(), Told()

    @queue.job
    async def forever() -> None:
        begun.set()
        await asyncio.sleep(3600)

    forever.enqueue()
    worker = Worker(queue, monitor=False, grace=3600, on_event=told)
    with running(worker) as thread:
        assert begun.wait(20)
        worker.stop()
        assert thread.is_alive()
        worker.stop(now=True)
        thread.join(20)
        assert not thread.is_alive()
    assert states(queue) == {"ready": 1}
    assert told.kinds() == [Kind.STARTED, Kind.RETURNED]


def test_ihp_statuses_are_mapped_to_and_from_text():
    assert [State(text) for text in ("running", "failed", "timed_out", "succeeded")] == [
        State.RUNNING,
        State.FAILED,
        State.TIMED_OUT,
        State.SUCCEEDED,
    ]
    assert all(State(str(state)) is state for state in State)


def test_ihp_a_success_is_kept_where_it_is_asked_for():
    studio = Studio(keep_succeeded=1)
    studio.queue.enqueue_many([Play("a"), Play("b")])
    studio.run()
    assert states(studio.queue) == {"succeeded": 1}


def test_ihp_polls_are_spread():
    """Workers that began together don't look together for ever: a pause is the interval, a tenth more or less."""
    worker = Worker(Studio().queue, monitor=False, poll_interval=100)
    worker.run(until_empty=True)
    pauses = {worker._shift.movers[0]._pause(Claimed([], 0, None)) for _ in range(100)}
    assert len(pauses) > 1
    assert 90 <= min(pauses) < max(pauses) <= 110


PAGE = Path(__file__).resolve().parents[2] / "docs" / "ihp.md"
ROWS = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]


def test_ihp_the_page_names_all_that_its_queue_exports():
    exports = """
        runPool fetchNextJob pendingJobConditionSQL watchForJob watchForJobWithPollerTriggerRepair pollForJob
        notificationTriggersHealthy ensureNotificationTriggers createNotificationTriggerSQL channelName jobDidFail
        jobDidTimeout jobDidSucceed backoffDelay recoverStaleJobs textToEnumJobStatusMap textToEnumJobStatus
        tryWriteTBQueue
    """
    named = {name for row in ROWS for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert named == {*exports.split()}


@pytest.mark.parametrize("row", ROWS, ids=[row.split("`")[1] for row in ROWS])
def test_ihp_the_tests_that_the_page_names_exist(row: str):
    tests = re.findall(r"\[`(test_\w+)`\]\(([^)]+)\)", row)
    assert tests
    for name, file in tests:
        assert f"def {name}(" in (PAGE.parent / file).read_text(), f"{file} has no {name}"
