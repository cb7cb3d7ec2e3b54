"""The steps of a history, told so that they can be taken again on another queue and at another time."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from msgspec import Struct

PSEUDO: Final = frozenset({"open", "close", "die", "advance", "pages"})
"""Steps that are no verbs of the protocol."""


class Token(Struct, frozen=True):
    """The token that a call was given for a job, whatever its fence came to.

    Attributes:
        forged: what of it is another: its `fence`, its `call`, its `id`, or nothing.
    """

    id: str
    call: bytes
    forged: str = ""


class Step(Struct, frozen=True):
    """What a client does.

    Attributes:
        who: the number of the client.
        verb: a method of `Backend`, or one of these. `open`: another client takes its place; `close`: after it was
            closed. `die`: a claim is carried out, but its client never hears of it, and another takes its place.
            `advance`: time passes, in microseconds. `pages`: a state is listed, some at a time.
        arguments: those behind the queue's name, with `Token` for `Hold`, and `run_at` from the history's beginning.
        lost: whether the first answer is lost, and the call repeated.
    """

    who: int
    verb: str
    arguments: tuple[Any, ...] = ()
    lost: bool = False


class Answered(NamedTuple):
    """A step that was taken, and what the store said, or raised; nothing of what is no call."""

    step: Step
    answer: Any = ""
