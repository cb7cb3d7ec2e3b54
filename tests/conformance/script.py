"""A history as Python: as the calls of a table, and as a script that makes them anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import fields

from jobcore.backend import Claimed, Hold
from jobcore.conformance.client import NO_BOUND
from jobcore.conformance.steps import Answered, Step, Token

_CLIENTS: Final = ("one", "two")
TIMES: Final = frozenset({"place", "pushed_at", "started_at", "lease_until", "lapsed_at", "finished_at"})


def script(history: Sequence[Answered], check: str, began: int | None) -> str:
    """Python that makes the calls of a history on the store of a URL, and fails where the last answer is wrong.

    Args:
        history: at least one step.
        check: what is true of a right `answer`; empty: any answer is.
        began: what a clock in hand stood at; None: the store's own is gone by.
    """
    source = Source(history)
    calls = [line for answered in history[:-1] for line in source.lines(answered)]
    calls += [*source.lines(history[-1], "answer")]
    clock = "" if began is None else _CLOCK.format(began=began)
    options = "" if began is None else ", clock=clock"
    pages = _PAGES if history[-1].step.verb == "pages" else ""
    if check:
        calls.append(f"assert {check}, answer")
    forging = "from msgspec.structs import replace\n" * any("replace(" in line for line in calls)
    return _SCRIPT.format(forging=forging, clock=clock, options=options, pages=pages, calls="\n".join(calls))


class Source:
    """Values and calls as Python; tokens by names, as each run has its own.

    Args:
        history: what the tokens were given in.
        began: when, to tell times by; 0: as they are.
        holds: further tokens that are to have names.
    """

    def __init__(self, history: Sequence[Answered] = (), began: int = 0, holds: Sequence[Hold] = ()) -> None:
        self._began = began
        self._used = {token for step, _ in history for token in _tokens(step.arguments)}
        given = dict.fromkeys(key for answered in history for key in _given(answered))
        keys = [*(key for key in given if key in self._used), *((hold.id, hold.call) for hold in holds)]
        self._names = {key: f"t{number}" for number, key in enumerate(dict.fromkeys(keys))}

    def call(self, step: Step) -> str:
        """What a step is called in a table."""
        arguments = ", ".join(map(self.of, step.arguments))
        match step.verb:
            case "die":
                return f"claim({arguments}), and the client dies"
            case "pages":
                return f"peek({arguments}), page by page"
            case _:
                return f"{step.verb}({arguments})"

    def lines(self, answered: Answered, name: str = "") -> Iterator[str]:
        """The lines of a script that take a step; its answer is called by a name."""
        step = answered.step
        client = _CLIENTS[step.who]
        verb = "claim" if step.verb == "die" else step.verb
        arguments = ", ".join(["queue", *map(self.of, step.arguments)])
        call = f"pages({client}, {arguments})" if verb == "pages" else f"{client}.{verb}({arguments})"
        match step.verb:
            case "open" | "close":
                yield from [f"{client}.close()"] * (step.verb == "close")
                yield f"{client} = client()"
            case "advance":
                yield f"clock.advance(microseconds={step.arguments[0]})"
            case "die":
                yield f"{client}.claim({arguments})  # the answer is lost, and its client is gone"
                yield f"{client} = client()"
            case _:
                yield from [f"{call}  # the answer is lost"] * step.lost
                yield f"{name} = {call}" if name else self._assigned(answered) + call + self._claims(answered)

    def of(self, value: Any) -> str:
        """A value as Python."""
        match value:
            case Token():
                return self._token(value)
            case Hold() if (value.id, value.call) in self._names:
                return self._names[value.id, value.call]
            case Struct():
                given = [field.name for field in fields(value) if getattr(value, field.name) != field.default]
                return f"{type(value).__name__}({', '.join(f'{name}={self.field(value, name)}' for name in given)})"
            case Enum():
                return str(f"{type(value).__name__}.{value.name}")
            case bytes() if len(value) == 16:
                return f"call({int.from_bytes(value)})"
            case int() if value == NO_BOUND:
                return "1 << 40"
            case list():
                return f"[{', '.join(map(self.of, value))}]"
            case tuple():
                return f"({', '.join(map(self.of, value))})"
            case _:
                return repr(value)

    def field(self, value: Struct, name: str) -> str:
        """A value's field as Python; times by when the history began."""
        found = getattr(value, name)
        if found is not None and name == "run_at":
            return _moment(found)
        return _moment(found - self._began) if self._began and found and name in TIMES else self.of(found)

    def _token(self, token: Token) -> str:
        name = self._names.get((token.id, token.call))
        hold = f"{name}.hold" if name else f"Hold({token.id!r}, {self.of(token.call)}, 1)"
        match token.forged:
            case "fence":
                return f"replace({hold}, fence={hold}.fence + 1)"
            case "call":
                return f"replace({hold}, call={hold}.call[::-1])"
            case "id":
                return f"replace({hold}, id={'b' if token.id == 'a' else 'a'!r})"
        return hold

    def _assigned(self, answered: Answered) -> str:
        """What gives names to tokens that are used later on."""
        names = [self._names.get(key, "_") for key in _given(answered)]
        return f"[{', '.join(names)}] = " if {*names} - {"_"} else ""

    def _claims(self, answered: Answered) -> str:
        return ".claims" if self._assigned(answered) and answered.step.verb == "claim" else ""


def _moment(after: int) -> str:
    return f"began {'-' if after < 0 else '+'} {abs(after)}" if after else "began"


def _given(answered: Answered) -> Iterator[tuple[str, bytes]]:
    """The id and the call of each token that was given."""
    answer = answered.answer.claims if isinstance(answered.answer, Claimed) else answered.answer
    if answered.step.verb in {"claim", "reclaim"} and isinstance(answer, list):
        for claim in answer:
            yield claim.id, claim.call


def _tokens(value: Any) -> Iterator[tuple[str, bytes]]:
    """The id and the call of each token that a step names."""
    if isinstance(value, Token):
        yield value.id, value.call
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tokens(item)


_SCRIPT: Final = """\
import sys
from jobcore.backend import *
from jobcore.connect import open_backend
{forging}{clock}
def client():
    return open_backend(sys.argv[1]{options})

def call(number):
    return number.to_bytes(16)

{pages}one, two, queue = client(), client(), "counterexample"
one.destroy(queue)
{calls}
"""

_CLOCK: Final = """\
from jobcore.testing import ManualClock

began = {began}
clock = ManualClock(began)
"""

_PAGES: Final = """\
def pages(client, queue, state, size):
    entries, page = [], client.peek(queue, state, size, None)
    while page.next is not None:
        entries, page = entries + page.entries, client.peek(queue, state, size, page.next)
    return entries + page.entries

"""
