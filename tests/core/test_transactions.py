"""Transactional work: what a job writes stands if, and only if, its success does. On a store whose rows are a list."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from core.loops import BOUND, Faulty, Told, eventually, running, states

from jobcore import ExceptionBehavior, Failure, JobContext, Queue, Retry, Worker
from jobcore.backend import Answer, Conflict, Hold, Keep, Refused, State, Succeed, Unavailable, Uncertain
from jobcore.events import Kind


class Rows(list[str]):
    """A transaction of `Ledger`: the rows that it would add."""

    def __init__(self, ledger: Ledger, queue: str) -> None:
        self.ledger, self.queue, self.connection = ledger, queue, self
        self.over = False

    def commit(self, hold: Hold, outcome: Succeed, keep: Keep) -> Answer:
        self.over = True
        self.ledger.before()
        (answer,) = self.ledger.settle(self.queue, [(hold, outcome)], keep)
        if answer is Answer.DONE:
            self.ledger.rows += self
        if self.ledger.lost:
            raise Uncertain("no answer came")
        return answer

    def rollback(self) -> None:
        self.over = True


class Ledger(Faulty):
    """A memory backend with rows, that jobs write in transactions."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[str] = []
        self.begun: list[Rows] = []
        self.timeouts: list[int | None] = []
        self.before: Callable[[], None] = lambda: None
        self.lost = False

    def transact(self, queue: str, timeout: int | None = None) -> Rows:
        self.begun.append(Rows(self, queue))
        self.timeouts.append(timeout)
        return self.begun[-1]


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


class Once:
    """One job of a queue that keeps successes, which a worker's `step` runs."""

    def __init__(self, ledger: Ledger, work: Callable[[JobContext[None]], Any], **policy: Any) -> None:
        self.told = Told()
        self.queue: Queue[None] = Queue("q", ledger, keep_succeeded=10)
        self.queue.job(name="work", context=True, **policy)(work)
        self.queue.enqueue_named("work", {})
        worker = Worker(self.queue, monitor=False, on_event=self.told)
        assert worker.step() == 1
        worker.stop()  # and so all has been told

    def became(self) -> tuple[dict[str, int], list[Kind]]:
        """The states that there are, and what was told but that it began."""
        return states(self.queue), [event.kind for event in self.told if event.kind is not Kind.STARTED]

    def reason(self) -> str:
        return self.told[-1].reason


def write(context: JobContext[None]) -> str:
    context.transaction().append("row")
    return "value"


def test_a_success_and_its_rows_are_one(ledger: Ledger):
    once = Once(ledger, write)
    assert once.became() == ({"succeeded": 1}, [Kind.SUCCEEDED])
    assert ledger.rows == ["row"]
    assert ledger.calls["settle"] == 1  # its own, and no other after it


def test_its_value_is_kept(ledger: Ledger):
    (entry,) = Once(ledger, write).queue.entries("succeeded").entries
    assert entry.value == b'"value"'


def test_each_call_gives_the_same_connection(ledger: Ledger):
    Once(ledger, lambda context: [context.transaction().append(word) for word in ("a", "b")])
    assert (ledger.rows, len(ledger.begun)) == (["a", "b"], 1)


def test_a_job_that_does_not_ask_has_none(ledger: Ledger):
    once = Once(ledger, lambda context: None)
    assert once.became() == ({"succeeded": 1}, [Kind.SUCCEEDED])
    assert ledger.begun == []


@pytest.mark.parametrize(
    ("ended", "state", "kind"),
    [
        (Retry("later", delay=60), "scheduled", Kind.RETRIED),
        (Failure("no"), "failed", Kind.FAILED),
        (ValueError("no"), "failed", Kind.FAILED),
        (SystemExit(1), "failed", Kind.FAILED),
        (Retry, "failed", Kind.FAILED),
    ],
)
def test_anything_but_a_success_undoes_them(ledger: Ledger, ended: Any, state: str, kind: Kind):
    def work(context: JobContext[None]) -> Any:
        write(context)
        if isinstance(ended, BaseException):
            raise ended
        return ended

    once = Once(ledger, work)
    assert once.became() == ({state: 1}, [kind])
    assert ledger.rows == []
    assert all(rows.over for rows in ledger.begun)


def test_a_job_whose_timeout_fired_undoes_them_whatever_it_returns(ledger: Ledger):
    def work(context: JobContext[None]) -> str:
        try:
            write(context)
            while True:
                pass
        except BaseException:  # noqa: BLE001 -- what a timeout raises, so as to go on in spite of it
            return "done all the same"

    once = Once(ledger, work, timeout=0.05, max_attempts=1)
    assert once.became() == ({"timed_out": 1}, [Kind.TIMED_OUT])
    assert (ledger.rows, ledger.begun[0].over) == ([], True)


def test_its_statements_may_take_as_long_as_the_job(ledger: Ledger):
    Once(ledger, write)
    Once(ledger, write, timeout=60)
    unbounded, bounded = ledger.timeouts
    assert unbounded is None
    assert bounded is not None
    assert 60_000_000 < bounded <= 61_000_000


def test_a_job_that_was_taken_over_writes_nothing(ledger: Ledger):
    def work(context: JobContext[None]) -> None:
        write(context)
        (entry,) = ledger.inner.peek("q", State.RUNNING, 1).entries
        assert ledger.inner.reclaim("q", 1, 3600_000_000, "other", bytes(16), entry.holder)

    once = Once(ledger, work)
    assert once.became() == ({"running": 1}, [Kind.REFUSED])
    assert ledger.rows == []


@pytest.mark.parametrize("error", [Refused("a duplicate"), Unavailable("cut off")])
def test_what_the_commit_raises_counts_as_raised_by_the_job(ledger: Ledger, error: Exception):
    ledger.fail("settle", error)
    once = Once(ledger, write, on_exception={type(error): ExceptionBehavior.RETRY})
    assert once.became() == ({"scheduled": 1}, [Kind.RETRIED])
    assert once.reason().startswith(f"jobcore.errors.{type(error).__name__}: {error}")
    assert ledger.rows == []


def test_a_conflict_at_the_commit_is_retried_whatever_is_said_of_exceptions(ledger: Ledger):
    ledger.fail("settle", Conflict("deadlock detected"))
    once = Once(ledger, write, on_exception={Conflict: ExceptionBehavior.FAIL})
    assert once.became() == ({"scheduled": 1}, [Kind.RETRIED])
    assert (once.reason(), ledger.rows) == ("deadlock detected", [])


def test_a_conflict_at_the_commit_of_the_last_attempt_fails_the_job(ledger: Ledger):
    ledger.fail("settle", Conflict("deadlock detected"))
    once = Once(ledger, write, max_attempts=1)
    assert once.became() == ({"failed": 1}, [Kind.FAILED])
    assert ledger.rows == []


def test_a_lost_answer_to_a_commit_that_was_made_changes_nothing(ledger: Ledger):
    ledger.lost = True
    once = Once(ledger, write)
    assert once.became() == ({"succeeded": 1}, [Kind.UNPROVEN])
    assert ledger.rows == ["row"]


def test_a_lost_answer_to_a_commit_that_was_not_made_is_the_jobs_error(ledger: Ledger):
    ledger.fail("settle", Uncertain("no answer came"))
    once = Once(ledger, write, on_exception=ExceptionBehavior.RETRY)
    assert once.became() == ({"scheduled": 1}, [Kind.RETRIED])
    assert ledger.rows == []


def test_a_worker_goes_on_after_it(ledger: Ledger):
    """What its transaction has settled is held no longer, and its hand is free."""
    queue: Queue[None] = Queue("q", ledger, keep_succeeded=100)
    work = queue.job(name="work", context=True)(write)
    plain = queue.job(name="plain")(lambda: None)
    worker = Worker(queue, monitor=False, concurrency=1)
    with running(worker):
        for _ in range(20):
            work.enqueue()
            plain.enqueue()
        eventually(lambda: states(queue) == {"succeeded": 40})
        eventually(lambda: worker._shift.outstanding == 0 and not worker._shift.movers[0].lanes[0].held)
    assert len(ledger.rows) == 20


def test_its_lease_is_kept_while_it_commits(ledger: Ledger):
    committing, go_on = threading.Event(), threading.Event()
    ledger.before = lambda: (committing.set(), go_on.wait(BOUND))
    queue: Queue[None] = Queue("q", ledger)
    queue.job(name="work", context=True)(write).enqueue()
    with running(Worker(queue, monitor=False, lease=0.3)):
        assert committing.wait(BOUND)
        before = ledger.calls["extend"]
        eventually(lambda: ledger.calls["extend"] > before + 1)
        go_on.set()
        eventually(lambda: ledger.rows == ["row"])


class TestRefused:
    """What `ctx.transaction()` refuses, it refuses where it is called, and says what to do."""

    def test_by_a_backend_that_has_none(self) -> None:
        queue: Queue[None] = Queue("q", "memory://")
        queue.job(name="work", context=True)(write).enqueue()
        worker = Worker(queue, monitor=False)
        worker.step()
        worker.stop()
        (entry,) = queue.entries("failed").entries
        assert entry.reason is not None
        assert entry.reason.startswith(
            "jobcore.errors.InvalidArgument: MemoryBackend has no transactions for jobs: "
            "ctx.transaction() needs one that has, such as postgresql://"
        )

    def test_to_an_async_job(self, ledger: Ledger) -> None:
        async def work(context: JobContext[None]) -> None:
            context.transaction()

        once = Once(ledger, work)
        assert once.became()[0] == {"failed": 1}
        assert "a plain def" in once.reason()

    def test_to_another_thread(self, ledger: Ledger) -> None:
        async def asking(context: JobContext[None]) -> None:
            await asyncio.to_thread(context.transaction)

        def work(context: JobContext[None]) -> Any:
            return asking(context)

        assert "in the thread that runs it" in Once(ledger, work).reason()
        assert ledger.begun == []

    def test_to_an_awaitable_that_a_job_with_a_transaction_returns(self, ledger: Ledger) -> None:
        async def later() -> None: ...

        def work(context: JobContext[None]) -> Any:
            write(context)
            return later()

        once = Once(ledger, work)
        assert "a plain def" in once.reason()
        assert (once.became()[0], ledger.rows, ledger.begun[0].over) == ({"failed": 1}, [], True)

    def test_to_a_job_that_has_ended(self, ledger: Ledger) -> None:
        kept: list[JobContext[None]] = []

        def work(context: JobContext[None]) -> None:
            kept.append(context)
            if len(kept) == 2:
                kept[0].transaction()

        queue: Queue[None] = Queue("q", ledger)
        job = queue.job(name="work", context=True)(work)
        worker = Worker(queue, monitor=False, concurrency=1)
        for _ in range(2):
            job.enqueue()
            worker.step()
        worker.stop()
        (entry,) = queue.entries("failed").entries
        assert entry.reason is not None
        assert "the job has ended, and its transaction with it" in entry.reason
        assert ledger.begun == []
