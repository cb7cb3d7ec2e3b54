"""Opening within a bound: what hangs is given up, what comes late is closed, and there is no end of threads."""

from __future__ import annotations

import contextvars
import threading

import pytest
from core.loops import BOUND, eventually, few_threads, threads

from jobcore.backend.opening import MOST_HANGING, Opener

SOON = 0.01


def test_what_is_there_in_time_is_given() -> None:
    assert Opener(BOUND)(lambda: "line", pytest.fail) == "line"


def test_it_sees_the_callers_context() -> None:
    who = contextvars.ContextVar("who", default="nobody")
    who.set("the caller")
    assert Opener(BOUND)(who.get, pytest.fail) == "the caller"


@pytest.mark.parametrize("error", [OSError("refused"), TimeoutError("the library's own"), SystemExit("even this")])
def test_an_error_is_the_callers(error: BaseException) -> None:
    with pytest.raises(type(error), match=str(error)):
        Opener(BOUND)(lambda: (_ for _ in ()).throw(error), pytest.fail)


def test_what_hangs_is_given_up_and_closed_when_it_comes() -> None:
    go, late = threading.Event(), list[str]()

    def opens() -> str:
        go.wait(BOUND)
        return "line"

    with pytest.raises(TimeoutError, match=r"within 0\.01 s"):
        Opener(SOON)(opens, late.append)
    assert late == []
    go.set()
    eventually(lambda: late == ["line"] and "jobcore-open" not in threads())


def test_attempts_that_hang_are_bounded_until_they_end() -> None:
    go, opener = threading.Event(), Opener(SOON)
    for _ in range(MOST_HANGING):
        with pytest.raises(TimeoutError, match="within"):
            opener(lambda: go.wait(BOUND), bool)
    with pytest.raises(TimeoutError, match="hang still"):
        opener(lambda: pytest.fail("this is one too many"), bool)
    go.set()
    eventually(lambda: "jobcore-open" not in threads())
    with pytest.raises((ZeroDivisionError, TimeoutError), match=r"division|within"):
        opener(lambda: 1 / 0, bool)  # others are tried again


def test_an_attempt_that_found_no_thread_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    opener = Opener(BOUND)
    few_threads(monkeypatch, "jobcore-open", 1)
    with pytest.raises(RuntimeError, match="thread"):
        opener(lambda: "opened", lambda _: None)
    assert opener(lambda: "opened", lambda _: None) == "opened"
    eventually(lambda: not opener._attempts)
