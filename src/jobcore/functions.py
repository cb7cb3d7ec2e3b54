"""Function jobs: a function's parameters become the fields of a frozen value, which is a job like any other."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Collection
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, final

import msgspec

from jobcore.calls import Run, check_body, run_of_function
from jobcore.errors import RegistrationError
from jobcore.job import Job
from jobcore.storable import advice

if TYPE_CHECKING:
    from jobcore.queue import Queue

P = ParamSpec("P")
R = TypeVar("R")


class FunctionCall(Job[Any], msgspec.Struct, frozen=True):
    """A call that is to be made: the arguments of one function, comparable and frozen."""


@final
class FunctionJob(Generic[P, R]):
    """A function that is also a job: calling it just calls it, `enqueue` has a worker call it.

    Made by `@queue.job`. Where the function takes a context, it is left out of what `job` and `enqueue` take.
    """

    __name__: str
    __wrapped__: Callable[..., R]

    def __init__(self, function: Callable[..., R], calls: type[FunctionCall], queue: Queue[Any]) -> None:
        functools.update_wrapper(self, function)
        self._calls = calls
        self._queue = queue

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function, here and now."""
        return self.__wrapped__(*args, **kwargs)

    def job(self, /, *args: P.args, **kwargs: P.kwargs) -> Job[Any]:
        """The call as a value, for `queue.enqueue(f.job(…), delay=60)` and to compare with in tests.

        Raises:
            TypeError: the arguments don't fit the function's parameters.
        """
        try:
            return self._calls(*args, **kwargs)
        except TypeError as error:
            raise TypeError(
                f"{self.__name__}: {error}{_hint(kwargs.keys() - {*self._calls.__struct_fields__})}"
            ) from None

    def enqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> str:
        """Store the call; returns its id and raises as `Queue.enqueue`."""
        return self._queue.enqueue(self.job(*args, **kwargs))

    async def aenqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> str:
        """Store the call; returns its id and raises as `Queue.aenqueue`."""
        return await self._queue.aenqueue(self.job(*args, **kwargs))

    def __repr__(self) -> str:
        return f"<job {self.__name__} of {self._queue!r}>"


def calls_of(function: Callable[..., Any], *, context: bool = False) -> tuple[type[FunctionCall], Run]:
    """What a function is stored as, and how it is run.

    Args:
        function: plain or async.
        context: whether its first parameter is a `JobContext`, which is not stored.

    Raises:
        RegistrationError: a parameter can't be stored; the message names it.
    """
    name = getattr(function, "__name__", None)
    if name is None:
        raise RegistrationError(f"{function!r} has no name to be stored under: write a function with def")
    check_body(name, function)
    parameters = _parameters(name, function)
    if context and (not parameters or parameters.pop(0).kind is inspect.Parameter.KEYWORD_ONLY):
        raise RegistrationError(f"{name}: with context=True the first parameter takes the JobContext")
    by_name = [parameter for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    by_place = parameters[: len(parameters) - len(by_name)]
    calls = _struct(function, by_place, FunctionCall, kw_only=False)
    calls = _struct(function, by_name, calls, kw_only=True)
    names = tuple(parameter.name for parameter in by_name)
    return calls, run_of_function(function, names, context=context)


def _hint(unknown: Collection[str]) -> str:
    """What to write instead, where options of `Queue.enqueue` are given as if they were the function's."""
    options = [name for name in ("delay", "run_at", "priority", "id", "connection") if name in unknown]
    return f"; write queue.enqueue(f.job(…), {options[0]}=…)" if options else ""


def _parameters(name: str, function: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise RegistrationError(f"{name}: {error}: write a function with def that calls it") from None
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise RegistrationError(
                f"{name} can't be stored with {parameter}: name its parameters, or take one list or dict"
            )
    return parameters


def _struct(
    function: Callable[..., Any], parameters: list[inspect.Parameter], base: type[FunctionCall], *, kw_only: bool
) -> type[FunctionCall]:
    """A Struct with a field per parameter, which is called as the function is."""
    fields = [(each.name, _annotation(function, each), _default(each)) for each in parameters]
    name, module = function.__name__, function.__module__
    try:
        made = msgspec.defstruct(
            name, fields, bases=(base,), module=module, frozen=True, forbid_unknown_fields=True, kw_only=kw_only
        )
    except TypeError as error:
        raise RegistrationError(f"{name}: {error}") from None
    return typing.cast("type[FunctionCall]", made)


def _annotation(function: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    """A parameter's type; any JSON where it has none. Others may be unresolvable: they are not stored."""
    if parameter.annotation is parameter.empty:
        return Any
    holder = SimpleNamespace(__annotations__={"it": parameter.annotation})
    scope = getattr(inspect.unwrap(function), "__globals__", {})
    try:
        return typing.get_type_hints(holder, globalns=scope, include_extras=True)["it"]
    except Exception as error:  # noqa: BLE001 -- whatever evaluating a user's annotation raises
        raise RegistrationError(f"{function.__name__}.{parameter.name} can't be stored: {advice(error)}") from None


def _default(parameter: inspect.Parameter) -> Any:
    """A parameter's default, shared by all calls as Python shares it."""
    default = parameter.default
    return msgspec.NODEFAULT if default is parameter.empty else msgspec.field(default_factory=lambda: default)
