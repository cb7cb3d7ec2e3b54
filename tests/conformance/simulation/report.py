"""What a simulation tells when something is wrong: the job's story as a table, and how to see it again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Row(NamedTuple):
    """One line of the trace.

    Attributes:
        step: how many steps the actors had taken.
        at: seconds since the beginning.
        who: the process that did it, or that it happened to.
        what: in words.
        ids: the jobs that it was done to.
    """

    step: int
    at: float
    who: str
    what: str
    ids: tuple[str, ...]


class Wrong(NamedTuple):
    """What is wrong: with which job, and in which way."""

    id: str
    sentence: str


def told(seed: int, wrong: Wrong, rows: list[Row]) -> str:
    """What is wrong, all that happened to that job and to the processes, and the command that replays it."""
    lines = [f"In the simulation of seed {seed}, of the job {wrong.id}: {wrong.sentence}.", "", *_table(wrong.id, rows)]
    lines += ["", f"To see it in memory:  python -m jobcore.conformance.simulation --seed {seed}"]
    return "\n".join([*lines, "If nothing is wrong there, the fault is the store's."])


def _table(id: str, rows: list[Row]) -> Iterator[str]:
    yield f"{'step':>6} {'seconds':>10}  {'who':<9} what"
    for row in rows:
        if id in row.ids or not row.ids:
            others = f" (and {len(row.ids) - 1} more)" if len(row.ids) > 1 else ""
            yield f"{row.step:>6} {row.at:>10.4f}  {row.who:<9} {row.what}{others}"
