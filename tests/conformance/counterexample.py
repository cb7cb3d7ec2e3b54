"""A history in which a store and its model disagree: as a table for people, and as a script that replays it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from enum import Enum
from typing import Any, Final

import msgspec

from jobcore.backend import Claim, Claimed, Entry, Hold, Pushed
from jobcore.conformance.laws import all_laws

LOST: Final = "lost"
"""What is shown of an answer that did not come."""


class Step(msgspec.Struct):
    """A call that was made.

    Attributes:
        who: the number of the client.
        verb: what was called; `open` for a client that took another's place.
        arguments: those behind the queue's name.
        answer: what came back, as it is shown, or LOST.
    """

    who: int
    verb: str
    arguments: tuple[Any, ...] = ()
    answer: str = ""


class Disagreement(AssertionError):
    """The store's answer to the last call is not the model's.

    Attributes:
        law: the name of the class of the law that is broken.
        at: when it was seen, in seconds of the monotonic clock.
    """

    def __init__(self, law: str, got: object, wanted: object) -> None:
        self.law = law
        self.at = time.monotonic()
        self.got, self.wanted = different(got, wanted)
        super().__init__(f"{all_laws()[law]}: {self.got}, and not {self.wanted}")


def told(
    error: Disagreement, history: Sequence[Step], tokens: Sequence[Hold], url: str | None, began: int | None = None
) -> str:
    """Which law is broken, the history, and, if the store can be opened again by its URL, the script.

    `began` is what a clock in hand stood at before the first call.
    """
    law = all_laws()[error.law]
    lines = [f"Broken is {law}: {law.sentence}", "", *_table(history, tokens), ""]
    lines += [f"The last answer was   {error.got}", f"and should have been  {error.wanted}"]
    if url:
        lines += ["", f"To replay it on {url}, save this and run it with the URL:", "", script(history, tokens, began)]
    return "\n".join(lines)


def shown(answer: object) -> str:
    """An answer in a few words: what is not shown is the same for all drivers, or the store's own choice."""
    match answer:
        case Claimed():
            return shown(answer.claims)
        case Claim() | Entry():
            return answer.id
        case Pushed():
            return f"{answer.id} created" if answer.created else f"{answer.id} known, {answer.state or 'remembered'}"
        case Enum():
            return answer.name
        case list() | tuple():
            return ", ".join(map(shown, answer)) or "nothing"
        case None:
            return ""
        case _:
            return repr(answer)


def different(got: object, wanted: object) -> tuple[str, str]:
    """Two answers in words in which their difference shows."""
    if shown(got) != shown(wanted) or not (isinstance(got, list) and isinstance(wanted, list)):
        return shown(got), shown(wanted)
    one, other = next((one, other) for one, other in zip(got, wanted, strict=True) if one != other)
    fields = [name for name in one.__struct_fields__ if getattr(one, name) != getattr(other, name)]
    words = (", ".join(f"{name}={shown(getattr(value, name)) or None}" for name in fields) for value in (one, other))
    first, second = words
    return f"{one.id}: {first}", f"{other.id}: {second}"


def script(history: Sequence[Step], tokens: Sequence[Hold], began: int | None = None) -> str:
    """Python that makes the same calls, by a clock that begins where theirs did, and prints what comes back."""
    calls = [f"{'send' if step.answer == LOST else 'ask'}({step.who}, {_call(step, tokens)})" for step in history]
    clock = "None" if began is None else f"ManualClock({began})"
    return _SCRIPT.format(calls="\n".join(calls), clock=clock)


def source(value: object, tokens: Sequence[Hold]) -> str:
    """A value as Python's source; tokens by their number, as each run has its own."""
    match value:
        case Hold() if value in tokens:
            return f"tokens[{tokens.index(value)}]"
        case Hold() if (real := msgspec.structs.replace(value, fence=value.fence - 1)) in tokens:
            return f"forged(tokens[{tokens.index(real)}])"
        case msgspec.Struct():
            return f"{type(value).__name__}({', '.join(_fields(value, tokens))})"
        case Enum():
            return str(f"{type(value).__name__}.{value.name}")
        case bytes() if len(value) == 16:
            return f"call({int.from_bytes(value)})"
        case list():
            return f"[{', '.join(source(item, tokens) for item in value)}]"
        case tuple():
            return f"({', '.join(source(item, tokens) for item in value)})"
        case _:
            return repr(value)


def _fields(value: msgspec.Struct, tokens: Sequence[Hold]) -> list[str]:
    given = [(field, getattr(value, field.name)) for field in msgspec.structs.fields(value)]
    return [f"{field.name}={source(item, tokens)}" for field, item in given if item != field.default]


def _call(step: Step, tokens: Sequence[Hold]) -> str:
    return ", ".join([repr(step.verb), *(source(item, tokens) for item in step.arguments)])


def _table(history: Sequence[Step], tokens: Sequence[Hold]) -> list[str]:
    rows = [
        (f"client {step.who}", f"{step.verb}({', '.join(source(it, tokens) for it in step.arguments)})", step.answer)
        for step in history
    ]
    width = max((len(call) for _, call, _ in rows), default=0)
    return [
        f"{who}  {call:<{width}}  {answer}".rstrip() for who, call, answer in [("who     ", "call", "answer"), *rows]
    ]


_SCRIPT: Final = """\
import sys
from msgspec.structs import replace
from jobcore.backend import *
from jobcore.connect import open_backend
from jobcore.testing import ManualClock

clock = {clock}
clients, tokens = [open_backend(sys.argv[1], clock=clock) for _ in range(2)], []

def ask(who, verb, *arguments):
    if verb == "open":
        clients[who] = open_backend(sys.argv[1], clock=clock)
        return
    if verb == "advance":
        clock.advance(microseconds=arguments[0])
        return
    answer = send(who, verb, *arguments)
    if verb in ("claim", "reclaim"):
        tokens.extend(claim.hold for claim in getattr(answer, "claims", answer))
    print(f"client {{who}}: {{verb}}{{arguments}}\\n    {{answer}}")

def send(who, verb, *arguments):  # by itself: the answer is lost
    return getattr(clients[who], verb)("counterexample", *arguments)

def call(number):
    return number.to_bytes(16)

def forged(token):
    return replace(token, fence=token.fence + 1)

clients[0].destroy("counterexample")
{calls}
clients[0].destroy("counterexample")
"""
