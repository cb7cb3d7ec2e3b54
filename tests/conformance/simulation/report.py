"""What a simulation tells when something is wrong: the law, the job's story as a table, and how to see it again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from jobcore.conformance.counterexample import table
from jobcore.conformance.laws import all_laws

_HEAD: Final = ("  step", "   seconds", "who", "what")


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
    """What is wrong: by which law, with which job, and in which way."""

    law: str
    id: str
    sentence: str


def told(wrong: Wrong, rows: Sequence[Row], url: str | None, seed: int, without: Sequence[str]) -> str:
    """What is wrong, all that happened to that job and to the processes, and the command that replays it."""
    law = all_laws()[wrong.law]
    lines = [f"Broken is {law}: {law.sentence}", ""]
    lines += [f"In the simulation of seed {seed}, of the job {wrong.id}: {wrong.sentence}.", ""]
    lines += [*table([_HEAD, *_rows(wrong.id, rows)]), "", f"To replay it:  {command(url, seed, without)}"]
    memory = f"If nothing is wrong in memory, the fault is the store's:  {command(None, seed, without)}"
    return "\n".join([*lines, *[memory] * (url is not None)])


def command(url: str | None, seed: int, without: Sequence[str]) -> str:
    """What replays a simulation on a store; None: one in memory."""
    options = ["--seed", f"{seed}", *(["--without", *without] if without else [])]
    return shlex.join(["python", "-m", "jobcore.conformance.simulation", *([url] if url else []), *options])


def _rows(id: str, rows: Sequence[Row]) -> Iterator[tuple[str, ...]]:
    for row in rows:
        if id in row.ids or not row.ids:
            others = f" (and {len(row.ids) - 1} more)" if len(row.ids) > 1 else ""
            yield f"{row.step:>6}", f"{row.at:>10.4f}", row.who, f"{row.what}{others}"
