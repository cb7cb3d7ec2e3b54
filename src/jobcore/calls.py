"""How a job is run: what its method or function is called with."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from msgspec.structs import astuple

from jobcore.errors import RegistrationError
from jobcore.job import JobContext

Call: TypeAlias = Callable[[Any, Any, Callable[[], JobContext[Any]]], Any]
"""Runs a job: called with the job, the state, and what makes the context, which is called only where it is used."""

Run: TypeAlias = tuple[Call, bool]
"""How a job is run, and whether that gives a coroutine."""


def run_of(cls: type, fields: tuple[str, ...]) -> Run:
    """How a class's jobs are run, by the number of parameters that its `run` has; raises RegistrationError."""
    run = inspect.getattr_static(cls, "run", None)
    if not inspect.isfunction(run) or "run" in fields:
        raise RegistrationError(f"{cls.__name__} can't be run: define run(self), run(self, state) or more as a method")
    check_body(f"{cls.__name__}.run", run)
    takes = len(_positional(f"{cls.__name__}.run", run)) - 1
    if takes not in range(len(_METHOD_CALLS)):
        raise RegistrationError(f"{cls.__name__}.run takes self, and then nothing, (state) or (state, context)")
    return _METHOD_CALLS[takes], inspect.iscoroutinefunction(run)


def run_of_function(function: Callable[..., Any], names: tuple[str, ...], *, context: bool) -> Run:
    """How a call that was stored as a Struct is made.

    Args:
        function: what is called.
        names: the parameters that are given the Struct's last fields, by name; the others are given by place.
        context: whether a context goes before all of them.
    """
    called = _by_place(function, names) if names else function

    def without(job: Any, _state: Any, _context: Any) -> Any:
        return called(*astuple(job))

    def with_context(job: Any, _state: Any, context: Callable[[], Any]) -> Any:
        return called(context(), *astuple(job))

    return (with_context if context else without), inspect.iscoroutinefunction(function)


def _by_place(function: Callable[..., Any], names: tuple[str, ...]) -> Callable[..., Any]:
    """A function whose last parameters take names, as one that takes all by place."""
    named = -len(names)
    return lambda *values: function(*values[:named], **dict(zip(names, values[named:], strict=True)))


def check_body(what: str, function: Callable[..., Any]) -> None:
    """Refuse a generator: calling it would run nothing."""
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise RegistrationError(f"{what} is a generator, which does nothing when it is called: remove its `yield`")


def _positional(what: str, run: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters that a run is told apart by."""
    found = []
    for parameter in inspect.signature(run).parameters.values():
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            found.append(parameter)
        elif parameter.default is parameter.empty:
            raise RegistrationError(f"{what} can't have the parameter {parameter}: (self, state, context) is all")
    return found


_METHOD_CALLS: Final[tuple[Call, ...]] = (
    lambda job, _state, _context: job.run(),
    lambda job, state, _context: job.run(state),
    lambda job, state, context: job.run(state, context()),
)
