"""A history that no order explains, for people: what was done to the job, by whom, and what it may have been."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from jobcore.backend import Claim, Entry, Hold
from jobcore.conformance.concurrency_job import Job
from jobcore.conformance.counterexample import shown, table
from jobcore.conformance.history import Operation, Silence
from jobcore.conformance.laws import all_laws
from jobcore.conformance.linearizability import Unexplained
from jobcore.conformance.script import Source

_LAWS: Final = {
    "push": "Law5Idempotent",
    "claim": "Law3OneHolder",
    "reclaim": "Law3OneHolder",
    "extend": "Law4Fenced",
    "settle": "Law4Fenced",
}
"""The law that an answer of a verb breaks. What others see that can't be is a job that is not where it was left."""

_COLUMNS: Final = ("", "began", "ended", "who", "call", "answer")

_EXPLANATION: Final = """\
Times are in µs. Each call has its effect at one moment between its two times, and no choice of such moments
explains the answer that is marked: the job can only have been one of these."""


def told(found: Unexplained[Job]) -> str:
    """Which law is broken, and the operations on the job since it was last certain what it was."""
    law = all_laws()[_LAWS.get(found.operation.verb, "Law1Kept")]
    lines = [f"Broken is {law}: {law.sentence}", ""]
    lines += [f"What was done to the job {found.operation.job!r}, which was: {found.since}", ""]
    lines += _table(found)
    lines += ["", _EXPLANATION]
    lines += sorted({f"  {state}" for state in found.states})
    return "\n".join(lines)


def _table(found: Unexplained[Job]) -> Iterator[str]:
    operations = sorted(found.before, key=lambda one: one.invoked)
    begin = operations[0].invoked
    source = Source(holds=_tokens(operations))
    yield from table(
        [_COLUMNS, *(_row(one, begin, source, "!" if one is found.operation else "") for one in operations)]
    )


def _row(operation: Operation, begin: int, source: Source, mark: str) -> tuple[str, ...]:
    arguments = ", ".join(source.of(argument) for argument in operation.arguments)
    ended = "" if operation.returned is None else f"{(operation.returned - begin) // 1000}"
    began = f"{(operation.invoked - begin) // 1000}"
    answer = _answer(operation.answer, source)
    return mark, began, ended, operation.client, f"{operation.verb}({arguments})", answer


def _answer(answer: Any, source: Source) -> str:
    match answer:
        case Silence():
            return "no answer"
        case Claim():
            return f"{source.of(answer.hold)}, attempt {answer.attempt}, lost {answer.lost}, {answer.payload!r}"
        case Entry():
            held = f", held by {answer.holder}" if answer.holder else ""
            return f"{answer.state}, attempt {answer.attempt}, lost {answer.lost}{held}, {answer.payload!r}"
        case None:
            return "nothing"
        case _:
            return shown(answer)


def _tokens(operations: Sequence[Operation]) -> list[Hold]:
    """The tokens that are spoken of, in the order of their fences."""
    given = {one.answer.hold for one in operations if isinstance(one.answer, Claim)}
    asked = {argument for one in operations for argument in one.arguments if isinstance(argument, Hold)}
    return sorted(given | asked, key=lambda hold: hold.fence)
