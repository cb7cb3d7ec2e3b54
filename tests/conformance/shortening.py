"""Makes what fails shorter, as long as it still fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from msgspec import Struct
from msgspec.structs import fields, replace

from jobcore.conformance.client import NO_BOUND
from jobcore.conformance.steps import Step

T = TypeVar("T")


class Tries(Generic[T]):
    """Whether something still fails, as long as there are tries left.

    Args:
        fails: what is asked.
        left: how often.
    """

    def __init__(self, fails: Callable[[Sequence[T]], bool], left: int) -> None:
        self._fails = fails
        self._left = left

    def __call__(self, items: Sequence[T]) -> bool:
        """Ask, if that may still be done."""
        self._left -= 1
        return self._left >= 0 and self._fails(items)


def shortened(items: Sequence[T], fails: Callable[[Sequence[T]], bool]) -> list[T]:
    """The items without all that can be left out: blocks of them, then ever smaller ones, the last first.

    It is what remains of Zeller and Hildebrandt's "Simplifying and Isolating Failure-Inducing Input" (TSE 2002) when
    complements alone are tried.
    """
    kept, size = [*items], max(1, len(items) // 2)
    while size:
        for start in range(len(kept) - size, -1, -size):
            left = kept[:start] + kept[start + size :]
            if fails(left):
                kept = left
        size //= 2
    return kept


def simplified(steps: Sequence[Step], fails: Callable[[Sequence[Step]], bool]) -> list[Step]:
    """The steps with plainer arguments, each as plain as it can be."""
    kept = [*steps]
    for at in range(len(kept)):
        while plain := next((one for one in plainer(kept[at]) if fails([*kept[:at], one, *kept[at + 1 :]])), None):
            kept[at] = plain
    return kept


def plainer(step: Step) -> Iterator[Step]:
    """The step with one thing less in it."""
    if step.lost:
        yield replace(step, lost=False)
    if step.who and step.verb not in {"counts", "get"}:
        yield replace(step, who=0)
    for at, argument in enumerate(step.arguments):
        for plain in _plainer(step.verb, at, argument):
            yield replace(step, arguments=(*step.arguments[:at], plain, *step.arguments[at + 1 :]))


_GRANTS = (10, 1_000_000, "h", None, NO_BOUND)
"""What is plain in a claim: its limit, lease, holder and `max_bytes`."""


def _plainer(verb: str, at: int, argument: Any) -> Iterator[Any]:
    if isinstance(argument, list):
        yield from (argument[:n] + argument[n + 1 :] for n in reversed(range(len(argument))) if len(argument) > 1)
        for n, item in enumerate(argument):
            yield from ([*argument[:n], plain, *argument[n + 1 :]] for plain in _plainer(verb, at, item))
    elif isinstance(argument, tuple):
        for n, item in enumerate(argument):
            yield from ((*argument[:n], plain, *argument[n + 1 :]) for plain in _plainer(verb, at, item))
    elif isinstance(argument, Struct):
        yield from _plainer_fields(argument)
    elif verb == "claim" and _GRANTS[at] not in {None, argument}:
        yield _GRANTS[at]


def _plainer_fields(value: Any) -> Iterator[Any]:
    """A value with one field as it is by default; a payload has none, and is plain when it is empty."""
    for field in fields(value):
        plain = b"" if field.name == "payload" else field.default
        if field.name not in {"id", "call"} and getattr(value, field.name) != plain:
            yield replace(value, **{field.name: plain})
