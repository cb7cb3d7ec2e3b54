"""The steps of a history, told so that they can be taken again on another queue and at another time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from jobcore.backend import Hold, Push


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


def meant(value: Any, holds: Sequence[Hold], began: int) -> Any:
    """What a step's arguments mean here and now: after these tokens were given, in a history that began then."""
    match value:
        case Token():
            return _hold(value, holds)
        case Push(run_at=int(after)):
            return replace(value, run_at=began + after)
        case list() | tuple():
            return type(value)(meant(item, holds, began) for item in value)
    return value


def _hold(token: Token, holds: Sequence[Hold]) -> Hold:
    given = [hold for hold in holds if (hold.id, hold.call) == (token.id, token.call)]
    hold = given[-1] if given else Hold(token.id, token.call, 1)
    match token.forged:
        case "fence":
            return replace(hold, fence=hold.fence + 1)
        case "call":
            return replace(hold, call=bytes(reversed(hold.call)))
        case "id":
            return replace(hold, id="b" if hold.id == "a" else "a")
    return hold
