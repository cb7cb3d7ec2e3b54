"""What an operator does with jobs that are named: redrive and remove."""

from __future__ import annotations

from collections.abc import Sequence

from jobcore.backend import Answer
from jobcore.backends.postgres.database import Database
from jobcore.backends.postgres.rows import first_positions


def operate(database: Database, stem: str, queue: str, ids: Sequence[str], *, again: Answer) -> list[Answer]:
    """Run redrive.sql or remove.sql; `again` is the answer where an id is named after it was DONE."""
    first = first_positions(ids)
    named = sorted(first)
    given = {"queue": queue, "ids": named, "positions": [first[id] for id in named]}
    found = database.run_alone(stem, given)
    if any(asleep for _, _, asleep in found):
        database.run_further("wake", {"queue": queue})
    fits = {id: Answer.DONE if fits else Answer.WRONG_STATE for id, fits, _ in found}
    answers = [fits.get(id, Answer.MISSING) for id in ids]
    return [again if answer is Answer.DONE and first[ids[at]] < at else answer for at, answer in enumerate(answers)]
