"""Function jobs: a function that is also a value to be stored."""

import inspect
from datetime import date
from functools import partial
from typing import Any

import msgspec
import pytest

from jobcore import FunctionJob, JobContext, Queue
from jobcore.codec import JobType
from jobcore.errors import InvalidArgument, RegistrationError

queue: Queue[None] = Queue("functions", "memory://")


@queue.job
def resize(path: str, width: int = 100, *, fast: bool = False, day: date | None = None) -> str:
    """Make it smaller."""
    return f"{path} {width} {fast} {day}"


@queue.job(name="fetch.url", max_attempts=3)
async def fetch(url: str) -> int:
    return len(url)


@queue.job(context=True)
def tell(context: JobContext[None], name: str, /, timeout: int = 3, run: Any = None, self: int = 0) -> list[Any]:
    return [context, name, timeout, run, self]


@queue.job
def untyped(a, b=None):  # type: ignore[no-untyped-def]  # that it has no types is the point
    return a, b


def called(job: Any, context: Any = None) -> Any:
    """Store a job, read it back and call it, as a worker does."""
    job_type = queue.registry.type_of(job)
    opened, args = queue.registry.open(job_type.encode(job))
    again = opened.decode(args)
    assert again == job
    return opened.call(again, None, lambda: context)


def test_calling_it_just_calls() -> None:
    assert resize("a", 3, fast=True) == "a 3 True None"
    assert queue.counts().ready == 0


def test_it_looks_like_its_function() -> None:
    assert isinstance(resize, FunctionJob)
    assert (resize.__name__, resize.__doc__) == ("resize", "Make it smaller.")
    assert resize.__module__ == __name__
    assert list(inspect.signature(resize).parameters) == ["path", "width", "fast", "day"]
    assert inspect.isfunction(resize.__wrapped__)


def test_a_call_is_a_frozen_comparable_value() -> None:
    job = resize.job("a", width=3)
    assert job == resize.job("a", 3) == resize.job(path="a", width=3, fast=False)
    assert job != resize.job("a", 4)
    assert job != untyped.job("a", 3)
    assert len({resize.job("a"), resize.job("a"), resize.job("b")}) == 2
    with pytest.raises(AttributeError):
        job.path = "b"  # type: ignore[attr-defined]  # that it is refused is the point
    assert repr(job) == "resize(path='a', width=3, fast=False, day=None)"


def test_arguments_come_back_typed_and_go_where_they_belong() -> None:
    assert called(resize.job("a", fast=True, day=date(2026, 1, 2))) == "a 100 True 2026-01-02"
    assert called(untyped.job([1, {"x": None}])) == ([1, {"x": None}], None)


def test_defaults_are_those_of_the_worker_that_runs_it_when_another_language_leaves_them_out() -> None:
    opened, args = queue.registry.open(b'{"job": "resize", "args": {"path": "a"}}')
    assert opened.call(opened.decode(args), None, pytest.fail) == "a 100 False None"


def test_a_context_goes_first_and_is_not_stored() -> None:
    job = tell.job("x", timeout=5, run=[1], self=2)
    assert called(job, "context") == ["context", "x", 5, [1], 2]
    assert msgspec.json.decode(type_of(job).encode(job))["args"] == {"name": "x", "timeout": 5, "run": [1], "self": 2}


def test_parameters_are_never_policy() -> None:
    assert (type_of(tell.job("x")).name, type_of(tell.job("x")).policy.timeout) == ("tell", None)


def test_options_are_the_decorators() -> None:
    added = queue.registry.named("fetch.url")
    assert (added.policy.max_attempts, added.is_async) == (3, True)
    assert not type_of(resize.job("a")).is_async


def type_of(job: Any) -> JobType:
    return queue.registry.type_of(job)


def test_wrong_arguments_are_a_type_error_that_names_the_function() -> None:
    wrong: Any = resize
    for make in (wrong.job, lambda: wrong.job("a", widht=3), lambda: wrong.enqueue("a", 1, True)):
        with pytest.raises(TypeError, match="resize: "):
            make()


def test_an_option_among_the_arguments_is_told_where_it_goes() -> None:
    wrong: Any = resize
    with pytest.raises(TypeError, match=r"'delay'; write queue\.enqueue\(f\.job\(…\), delay=…\)"):
        wrong.enqueue("a", delay=3)


def test_arguments_of_a_wrong_type_are_refused_by_name() -> None:
    wrong: Any = resize
    with pytest.raises(InvalidArgument, match="width"):
        wrong.enqueue("a", width="wide")
    with pytest.raises(InvalidArgument, match="path"):
        wrong.enqueue(None)


def test_a_default_may_be_mutable_as_in_python() -> None:
    own: Queue[None] = Queue("own")

    @own.job
    def collect(into: list[int] = [1]) -> list[int]:  # noqa: B006 -- that this is allowed is the point
        return into

    assert collect.job() == collect.job([1])


def test_what_has_no_name_is_no_job() -> None:
    with pytest.raises(RegistrationError, match="has no name to be stored under"):
        queue.job(partial(print, "x"))
