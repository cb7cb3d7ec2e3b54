"""A history in which a store and its model disagree: as a table for people, and as a script that replays it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Final

from jobcore.backend import Claim, Claimed, Entry, Page, Pushed
from jobcore.conformance.laws import all_laws
from jobcore.conformance.script import Source, script
from jobcore.conformance.steps import Answered, Step

_HEAD: Final = ("who", "call", "answer", "should have been")


class Disagreement(AssertionError):
    """The store's answer to the last call is not the model's.

    Attributes:
        law: the name of the class of the law that is broken.
        got: the answer, or what is wrong of it, in words.
        wanted: what it should have been, in words.
        check: Python that is true of a right `answer`; empty if there was none.
    """

    def __init__(self, law: str, got: str, wanted: str, check: str) -> None:
        self.law, self.got, self.wanted, self.check = law, got, wanted, check
        super().__init__(f"{all_laws()[law]}: {got}, and not {wanted}")


def disagreement(law: str, got: object, wanted: object, seen: str) -> Disagreement:
    """Two answers that differ, told whole; `seen` is Python for what is compared."""
    return Disagreement(law, shown(got), shown(wanted), f"{seen} == {Source().of(wanted)}")


def difference(
    law: str, got: Sequence[Entry | Claim], wanted: Sequence[Entry | Claim], seen: str, began: int
) -> Disagreement:
    """Two lists that differ, told by their ids, or, if these are alike, by the fields that differ."""
    ids, right = [one.id for one in got], [one.id for one in wanted]
    if ids != right:
        return disagreement(law, ids, right, f"[one.id for one in {seen}]")
    pairs = [(one, other) for one, other in zip(got, wanted, strict=True) if one != other]
    one, other = pairs[0]
    fields = [name for name in one.__struct_fields__ if any(getattr(a, name) != getattr(b, name) for a, b in pairs)]
    source = Source(began=began)
    told = [", ".join(f"{name}={source.field(each, name)}" for name in fields) for each in (one, other)]
    values = ", ".join(f"({', '.join(source.field(each, name) for name in ('id', *fields))})" for each in wanted)
    check = f"[({', '.join(f'one.{name}' for name in ('id', *fields))}) for one in {seen}] == [{values}]"
    return Disagreement(law, f"{one.id}: {told[0]}", f"{other.id}: {told[1]}", check)


def told(error: Disagreement, history: Sequence[Answered], url: str | None, began: int | None) -> str:
    """Which law is broken, the history, and, if the store can be opened again by its URL, the script.

    `began` is what a clock in hand stood at before the first call; None if there was none.
    """
    law = all_laws()[error.law]
    lines = [f"Broken is {law}: {law.sentence}", "", *_table(error, history)]
    if url:
        lines += ["", f"To replay it on {url}, save this and run it with the URL:", ""]
        lines += [script(history, error.check, began)]
    return "\n".join(lines)


def shown(answer: object) -> str:
    """An answer in a few words: what is not shown is the same for all drivers, or the store's own choice."""
    match answer:
        case Claimed():
            return shown(answer.claims)
        case Page():
            return shown(answer.entries)
        case Claim() | Entry():
            return answer.id
        case Pushed():
            return f"{answer.id} created" if answer.created else f"{answer.id} known, {answer.state or 'remembered'}"
        case Enum():
            return answer.name
        case list() | tuple():
            return ", ".join(map(shown, answer)) or "nothing"
        case str():
            return answer
        case None:
            return "nothing"
        case _:
            return repr(answer)


def _table(error: Disagreement, history: Sequence[Answered]) -> list[str]:
    source = Source(history)
    *before, last = history
    rows = [row for step, answer in before for row in _rows(step, source, shown(answer))]
    rows += [(*row, error.wanted) for row in _rows(last.step, source, error.got)]
    return table([_HEAD, *rows])


def _rows(step: Step, source: Source, answer: str) -> Iterator[tuple[str, ...]]:
    """A step's row; one more if its first answer was lost."""
    who, call = f"client {step.who}", source.call(step)
    if step.lost or step.verb == "die":
        yield who, call, "lost"
    if step.verb != "die":
        yield who, call, answer


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines, in columns as wide as they must be."""
    columns = max(map(len, rows))
    widths = [max(len(row[column]) for row in rows if len(row) > column) for column in range(columns)]
    return ["  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=False)).rstrip() for row in rows]
