"""The settle: in one statement, or in a transaction of its own where it matters who settled first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from jobcore.backend import Answer, Fail, Hold, Keep, Outcome, Succeed
from jobcore.backends.postgres.database import Database
from jobcore.backends.postgres.rows import Parameters, first_positions, settle_arrays

_FAILED: Final = frozenset({"failed", "timed_out"})
_ALONE: Final = _FAILED | {"succeeded", "return"}
"""What is numbered in the order of commits: jobs that a cap may push out, and returns."""


def settle(database: Database, queue: str, settlements: Sequence[tuple[Hold, Outcome]], keep: Keep) -> list[Answer]:
    """Settle a batch; of two settlements of one hold only the first can be DONE."""
    first = first_positions([hold for hold, _ in settlements])
    given = {
        "queue": queue,
        **settle_arrays(first, settlements, keep),
        "empty_succeeded": not keep.succeeded and any(isinstance(outcome, Succeed) for _, outcome in settlements),
        "empty_failed": not keep.failed and any(isinstance(outcome, Fail) for _, outcome in settlements),
    }
    moves = frozenset(given["moves"])
    if moves & _ALONE:
        moved = database.run_alone(given | _caps(moves, keep), "settle", *(["trim"] if moves - {"return"} else []))
    else:
        moved = database.run("settle", given)
    if any(asleep for _, asleep in moved):
        database.run("wake", {"queue": queue})
    done = {position for position, _ in moved}
    return [Answer.DONE if at in done else Answer.LOST for at in range(len(settlements))]


def _caps(moves: frozenset[str], keep: Keep) -> Parameters:
    """The caps that this batch can have exceeded."""
    return {
        "succeeded": keep.succeeded if "succeeded" in moves else None,
        "failed": keep.failed if moves & _FAILED else None,
    }
