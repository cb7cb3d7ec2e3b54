"""The settle: in one statement, or in a transaction of its own where it matters who settled first."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import Final

from jobcore.backend import Answer, Hold, Keep, Outcome
from jobcore.backends.postgres.database import Database, Steps
from jobcore.backends.postgres.rows import Row, first_positions, move, settle_arrays

_CAPPED: Final = {"succeeded": "succeeded", "failed": "failed", "timed_out": "failed"}
"""The states that have a cap, and its name."""


_COUNT_EVERY: Final = 60.0
"""Seconds after which a client counts anew what a queue keeps."""


class Settling:
    """The settlements of one client, and when it last counted what a queue keeps."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counted: dict[str, float] = {}

    def settle(self, queue: str, settlements: Sequence[tuple[Hold, Outcome]], keep: Keep) -> list[Answer]:
        """Settle a batch; of two settlements of one hold only the first can be DONE."""
        first = first_positions([hold for hold, _ in settlements])
        given = {"queue": queue, **settle_arrays(first, settlements, keep)}
        moves = zip(given["moves"], given["kepts"], strict=True)
        if any(kept and (to in _CAPPED or to == "return") for to, kept in moves):
            moved = self._database.run_alone(
                "settle", given, lambda rows: self.trims(queue, _reached(settlements, rows), keep)
            )
        else:
            moved = self._database.run("settle", given)
        if any(asleep for _, asleep in moved):
            self._database.run_further("wake", {"queue": queue})
        done = {position for position, _ in moved}
        return [Answer.DONE if at in done else Answer.LOST for at in range(len(settlements))]

    def trims(self, queue: str, reached: Collection[str | None], keep: Keep) -> Steps:
        """What the transaction that kept jobs of these caps goes on with. A settlement that was LOST trims nothing."""
        capped = {"succeeded", "failed"}.intersection(reached)
        counts = bool(capped) and time.monotonic() >= self._counted.get(queue, 0.0)
        if counts:
            yield "count_kept", {}
        if "succeeded" in capped:
            yield "trim_succeeded", {"cap": keep.succeeded}
        if "failed" in capped:
            yield "trim_failed", {"cap": keep.failed}
        if counts:  # only now: a deadlock at a trim undoes the count, too
            self._counted[queue] = time.monotonic() + _COUNT_EVERY


def _reached(settlements: Sequence[tuple[Hold, Outcome]], moved: Sequence[Row]) -> set[str | None]:
    """The caps that concern jobs which have moved."""
    return {_CAPPED.get(move(settlements[position][1])) for position, _ in moved}
