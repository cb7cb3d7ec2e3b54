"""Policy, backoffs and durations: the values that say what happens to a job."""

from __future__ import annotations

import pickle
from datetime import timedelta
from typing import Any

import pytest

from jobcore import ExceptionBehavior, ExponentialBackoff, Failure, LinearBackoff, Retry, Success
from jobcore.errors import EnqueueUncertain, InvalidArgument
from jobcore.job import Policy, seconds


def test_the_defaults_are_those_of_the_ancestors() -> None:
    policy = Policy()
    assert policy.max_attempts == 10  # IHP's maxAttempts
    assert policy.on_exception is ExceptionBehavior.FAIL  # hworker's default


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_attempts", 0),
        ("max_attempts", -1),
        ("max_attempts", 2.5),
        ("max_attempts", "3"),
        ("max_attempts", True),
        ("max_lost", 0),
        ("max_lost", None),
        ("timeout", 0),
        ("timeout", -1),
        ("timeout", float("nan")),
        ("timeout", float("inf")),
        ("timeout", "60"),
        ("timeout", timedelta(seconds=-1)),
        ("backoff", 3),
        ("backoff", LinearBackoff),
        ("on_exception", "retry"),
        ("on_exception", {OSError: "retry"}),
        ("on_exception", {"OSError": ExceptionBehavior.RETRY}),
        ("on_exception", {int: ExceptionBehavior.RETRY}),
    ],
)
def test_policy_of_a_wrong_type_is_refused_by_its_name(field: str, value: object) -> None:
    wrong: Any = {field: value}
    with pytest.raises(InvalidArgument, match=field):
        Policy(**wrong)


def test_policy_takes_what_it_documents() -> None:
    Policy(max_attempts=None, max_lost=1, timeout=timedelta(minutes=1), backoff=LinearBackoff(3))
    Policy(on_exception={OSError: ExceptionBehavior.RETRY, KeyboardInterrupt: ExceptionBehavior.FAIL})


def test_linear_backoff_is_constant_as_ihps() -> None:
    assert [LinearBackoff(30)(attempt) for attempt in (1, 2, 50)] == [30, 30, 30]


def test_exponential_backoff_doubles_up_to_its_cap_as_ihps() -> None:
    backoff = ExponentialBackoff(10, jitter=0)
    assert [backoff(attempt) for attempt in (1, 2, 3, 4)] == [10, 20, 40, 80]
    assert backoff(15) == backoff(10**9) == 24 * 3600


def test_jitter_spreads_within_its_share_and_never_over_the_cap() -> None:
    waits = {ExponentialBackoff(100, cap=105, jitter=0.1)(1) for _ in range(200)}
    assert len(waits) > 1
    assert min(waits) >= 90
    assert max(waits) <= 105


@pytest.mark.parametrize("wrong", [-1, float("inf"), "3", timedelta(seconds=-3)])
def test_a_backoffs_delay_is_checked(wrong: Any) -> None:
    for make in (LinearBackoff, ExponentialBackoff):
        with pytest.raises(InvalidArgument, match="delay"):
            make(wrong)


def test_a_backoffs_cap_and_jitter_are_checked() -> None:
    with pytest.raises(InvalidArgument, match="cap"):
        ExponentialBackoff(1, cap=-1)
    with pytest.raises(InvalidArgument, match="jitter"):
        ExponentialBackoff(1, jitter=2)


def test_durations_are_seconds_or_timedeltas() -> None:
    assert seconds(1.5) == seconds(timedelta(milliseconds=1500)) == 1.5


def test_results_are_frozen_values() -> None:
    assert Success(3) == Success(3)
    assert Success(3) != Success()
    assert {Retry("busy", delay=3), Failure("no")} == {Failure("no"), Retry("busy", delay=3)}
    with pytest.raises(AttributeError):
        Retry().message = "other"  # type: ignore[misc]  # that it is refused is the point


def test_errors_survive_pickling_with_what_they_tell() -> None:
    error = pickle.loads(pickle.dumps(EnqueueUncertain("no answer", ["a", "b"])))  # noqa: S301 -- our own bytes
    assert (str(error), error.ids) == ("no answer", ("a", "b"))
