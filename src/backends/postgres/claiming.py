"""The claim: from where the last one left off, and once over everything where that gave too little."""

from __future__ import annotations

from collections.abc import Sequence

from jobcore.backend import Claimed
from jobcore.backends.postgres import rows
from jobcore.backends.postgres.database import Database, Run
from jobcore.backends.postgres.marks import Marks
from jobcore.backends.postgres.rows import Parameters, Row

_ABOUT_JOB = 5
"""Where a job's columns begin in a row of claim.sql."""


class Claiming:
    """The claims of one client, and what it learns from each for the next."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._marks: dict[str, Marks] = {}

    def claim(self, queue: str, asked: Parameters) -> Claimed:
        """Claim; `asked` are the parameters of claim.sql without the marks."""
        marks = self._marks.get(queue, Marks())
        claimed = self._attempt(self._database.run, queue, {**asked, "onward": False}, marks)
        if claimed.next_due == claimed.now or not marks.usable(claimed.now):
            return claimed
        run = self._database.run_further if claimed.claims else self._database.run
        return self._attempt(run, queue, _rest(asked, claimed), self._marks[queue].whole())

    def _attempt(self, run: Run, queue: str, asked: Parameters, marks: Marks) -> Claimed:
        found = run("claim", {"queue": queue, **asked, **marks.parameters()})
        self._learn(queue, marks, found)
        now, next_due, *_ = found[0]
        return Claimed(rows.claims([row[_ABOUT_JOB:] for row in found if row[_ABOUT_JOB] is not None]), now, next_due)

    def _learn(self, queue: str, before: Marks, found: Sequence[Row]) -> None:
        now, next_due, again, seen, returned, *_ = found[0]
        lowered = before.lowered(seen or 0, returned or ())
        current = self._marks.get(queue, before)
        if current.seen != before.seen:  # another thread knows of later returns than this claim did
            after = current.lowered(seen or 0, returned or ())
        elif next_due != now and not before.usable(now):
            after = lowered.emptied(now)
        elif next_due == now and not again and found[0][_ABOUT_JOB] is not None:
            after = lowered.raised(now, *max(row[_ABOUT_JOB : _ABOUT_JOB + 3] for row in found))
        else:
            after = lowered
        self._marks[queue] = after


def _rest(asked: Parameters, claimed: Claimed) -> Parameters:
    """What is still to be claimed; what is claimed already is given along."""
    return {
        **asked,
        "jobs": asked["jobs"] - len(claimed.claims),
        "max_bytes": asked["max_bytes"] - sum(len(claim.payload) for claim in claimed.claims),
        "onward": bool(claimed.claims),
    }
