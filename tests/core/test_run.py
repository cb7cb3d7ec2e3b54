"""Deciding: what follows from how a run ended."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from core.loops import states

from jobcore import backend as store
from jobcore import run
from jobcore.backend import Fail, State, Succeed
from jobcore.job import (
    DAY,
    ExceptionBehavior,
    ExponentialBackoff,
    Failure,
    JobTimeout,
    LinearBackoff,
    Policy,
    Retry,
    Success,
)
from jobcore.queue import Queue
from jobcore.run import Raised, interpret
from jobcore.worker import Worker

SECOND = 1_000_000
FAIL, RETRY = ExceptionBehavior.FAIL, ExceptionBehavior.RETRY
PLAIN = Policy(backoff=LinearBackoff(2))
ONCE = Policy(max_attempts=1, on_exception=RETRY)
RETRYING = Policy(backoff=LinearBackoff(2), on_exception=RETRY)


@pytest.mark.parametrize(
    ("ended", "policy", "outcome"),
    [
        (None, PLAIN, Succeed()),
        (Success(), PLAIN, Succeed()),
        (Success([1, "a"]), PLAIN, Succeed(b'[1,"a"]')),
        (Success(0), PLAIN, Succeed(b"0")),
        ({"size": 3}, PLAIN, Succeed(b'{"size":3}')),
        (False, PLAIN, Succeed(b"false")),
        (Failure("no such page"), PLAIN, Fail(State.FAILED, "no such page")),
        (Failure("no such page"), RETRYING, Fail(State.FAILED, "no such page")),
        (Retry("busy"), PLAIN, store.Retry(2 * SECOND, "busy")),
        (Retry("busy", delay=0), PLAIN, store.Retry(0, "busy")),
        (Retry(delay=0.0000001), PLAIN, store.Retry(1, "")),
        (Retry("busy", delay=timedelta(minutes=1)), PLAIN, store.Retry(60 * SECOND, "busy")),
        (Retry("busy"), ONCE, Fail(State.FAILED, "busy")),
        (Fail(State.BROKEN, "no JSON"), PLAIN, Fail(State.BROKEN, "no JSON")),
        (Raised(ValueError("what")), PLAIN, Fail(State.FAILED, "ValueError: what")),
        (Raised(ValueError("what")), RETRYING, store.Retry(2 * SECOND, "ValueError: what")),
        (Raised(ValueError("what")), ONCE, Fail(State.FAILED, "ValueError: what")),
        (Raised(SystemExit(3)), PLAIN, Fail(State.FAILED, "SystemExit: 3")),
        (Raised(KeyboardInterrupt()), RETRYING, store.Retry(2 * SECOND, "KeyboardInterrupt")),
        (Raised(asyncio.CancelledError()), PLAIN, Fail(State.FAILED, "asyncio.exceptions.CancelledError")),
    ],
)
def test_what_a_run_gave_decides_its_outcome(ended: Any, policy: Policy, outcome: store.Outcome):
    assert interpret(ended, policy, 1) == outcome


@pytest.mark.parametrize("result", [Success, Retry, Failure])
def test_a_result_class_returned_by_mistake_is_a_failure_that_says_so(result: type):
    outcome = interpret(result, PLAIN, 1)
    assert isinstance(outcome, Fail)
    assert outcome.state is State.FAILED
    assert f"{result.__name__}()" in outcome.reason


@pytest.mark.parametrize(("attempt", "again"), [(1, True), (2, True), (3, False), (4, False)])
def test_a_job_runs_again_while_its_attempt_is_below_the_bound(attempt: int, again: bool):
    policy = Policy(max_attempts=3, on_exception=RETRY)
    for ended in (Retry("busy"), Raised(OSError("gone"))):
        assert isinstance(interpret(ended, policy, attempt), store.Retry if again else Fail)


def test_without_a_bound_a_job_runs_again_for_ever():
    outcome = interpret(Retry("busy"), Policy(max_attempts=None), 10**9)
    assert isinstance(outcome, store.Retry)
    assert outcome.delay <= DAY * SECOND


@pytest.mark.parametrize(("attempt", "low", "high"), [(1, 0.9, 1.1), (2, 1.8, 2.2), (5, 14.4, 17.6), (40, DAY, DAY)])
def test_the_backoff_doubles_within_its_jitter_up_to_a_day(attempt: int, low: float, high: float):
    policy = Policy(max_attempts=None, backoff=ExponentialBackoff(1))
    for _ in range(50):
        outcome = interpret(Retry(), policy, attempt)
        assert isinstance(outcome, store.Retry)
        assert low * SECOND <= outcome.delay <= high * SECOND + 1


@pytest.mark.parametrize(
    ("error", "again"), [(KeyError("k"), False), (IndexError("i"), True), (OSError("o"), True), (TypeError("t"), False)]
)
def test_of_a_mapping_the_most_specific_class_wins(error: Exception, again: bool):
    policy = Policy(on_exception={LookupError: RETRY, KeyError: FAIL, OSError: RETRY, Exception: FAIL})
    assert isinstance(interpret(Raised(error), policy, 1), store.Retry if again else Fail)


def test_an_exception_that_the_mapping_does_not_cover_is_a_failure():
    policy = Policy(on_exception={ValueError: RETRY})
    assert isinstance(interpret(Raised(SystemExit(1)), policy, 1), Fail)
    assert isinstance(interpret(Raised(UnicodeDecodeError("utf-8", b"", 0, 1, "x")), policy, 1), store.Retry)


def test_a_value_that_will_not_be_kept_is_not_encoded():
    assert interpret(object(), PLAIN, 1, encode=False) == Succeed()
    assert interpret(Success(object()), PLAIN, 1, encode=False) == Succeed()


class Shy:
    def __repr__(self) -> str:
        raise RuntimeError("no")


class Odd:
    def __repr__(self) -> str:
        return "\ud800 odd"


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


def run_one(result: Any, **options: Any) -> tuple[Queue[None], store.Entry]:
    """Run a job that returns `result` (or raises it), beside one that is sound, and look at it."""
    queue = Queue("q", "memory://", keep_succeeded=10, **options)

    @queue.job
    def give() -> Any:
        if isinstance(result, BaseException):
            raise result
        return result

    @queue.job
    def sound() -> None: ...

    queue.enqueue(give.job(), id="it")
    queue.enqueue(sound.job(), id="neighbour")
    Worker(queue, concurrency=1, monitor=False).run(until_empty=True)
    neighbour, entry = queue.find("neighbour"), queue.find("it")
    assert neighbour is not None and neighbour.state is State.SUCCEEDED
    assert entry is not None
    return queue, entry


@pytest.mark.parametrize(
    ("value", "kept"),
    [({"a": [1]}, b'{"a":[1]}'), (None, None), (float("nan"), b"null"), (2**70, b"1180591620717411303424")],
)
def test_a_value_is_kept_as_json_with_a_job_that_is_kept(value: Any, kept: bytes | None):
    assert run_one(value)[1].value == kept


def test_a_value_that_is_no_json_is_kept_as_its_repr():
    entry = run_one(range(3))[1]
    assert (entry.state, entry.value) == (State.SUCCEEDED, b'"range(0, 3)"')


@pytest.mark.parametrize("value", [Shy(), Odd(), "\ud800"])
def test_a_value_that_has_no_text_either_is_no_trouble(value: object):
    assert run_one(value)[1].state is State.SUCCEEDED


@pytest.mark.parametrize("delay", [float("nan"), float("inf"), -1, "soon"])
def test_a_retry_with_a_delay_that_is_none_is_a_failure_that_says_so(delay: Any):
    entry = run_one(Retry("busy", delay))[1]
    assert entry.state is State.FAILED
    assert entry.reason is not None and "the delay of a Retry" in entry.reason


def test_a_message_of_another_type_is_told_as_text():
    error: Any = OSError("gone")
    assert run_one(Failure(error))[1].reason == "gone"
    assert run_one(Retry(error))[1].reason == "gone"


def test_a_retry_in_a_million_years_is_as_late_as_a_store_can_tell():
    queue, entry = run_one(Retry("later", delay=1e15))
    assert entry.state is State.SCHEDULED
    assert states(queue) == {"scheduled": 1, "succeeded": 1}


@pytest.mark.parametrize(
    "error", [SystemExit(1), KeyboardInterrupt(), asyncio.CancelledError(), GeneratorExit(), JobTimeout()]
)
def test_no_exception_of_a_job_ends_its_worker(error: BaseException):
    entry = run_one(error)[1]
    assert entry.state is State.FAILED
    assert entry.reason is not None and type(error).__name__ in entry.reason


def test_a_reason_holds_the_error_and_where_it_was_raised():
    reason = run_one(ValueError("what"))[1].reason
    assert reason is not None
    assert reason.startswith("ValueError: what\n")
    assert "test_run.py" in reason and "raise result" in reason
    assert str(Path(run.__file__).parent) not in reason


def test_a_reason_is_cleaned_and_cut():
    reason = run_one(ValueError("a\0b\ud800" + "x" * 10_000))[1].reason
    assert reason is not None
    assert reason.startswith("ValueError: ab?xxx")
    assert len(reason.encode()) <= 4096


def test_an_exception_without_text_is_no_trouble():
    reason = run_one(MuteError())[1].reason
    assert reason is not None and "MuteError" in reason
