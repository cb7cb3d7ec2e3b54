"""The claim: from where the last one left off, and from further back where that gave too little."""

from __future__ import annotations

from collections.abc import Sequence

from jobcore.backend import Claimed
from jobcore.backends.postgres import rows
from jobcore.backends.postgres.database import Database, Run
from jobcore.backends.postgres.marks import END, Marks
from jobcore.backends.postgres.rows import Parameters, Row

_ABOUT_JOB = 7
"""Where a job's columns begin in a row of claim.sql: first its key, then itself."""
_ID = _ABOUT_JOB + 3


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
        return self._attempt(run, queue, _rest(asked, claimed), self._marks[queue].to_look(), claimed)

    def _attempt(self, run: Run, queue: str, asked: Parameters, marks: Marks, held: Claimed | None = None) -> Claimed:
        """One statement. `held` is what an earlier one of this claim took, and this one gives again."""
        found = run("claim", {"queue": queue, **asked, **marks.parameters()})
        now, next_due, again, *_ = found[0]
        known = {claim.id for claim in held.claims} if held else ()
        given = [row for row in found if row[_ID] is not None]
        self._learn(queue, marks, found[0], [] if again else [row for row in given if row[_ID] not in known])
        return Claimed(rows.claims([row[_ABOUT_JOB:] for row in given]), now, next_due)

    def _learn(self, queue: str, before: Marks, told: Row, taken: Sequence[Row]) -> None:
        """Note what a claim by the marks `before` tells, and where what it has taken lies."""
        now, next_due, again, seen, returned, oldest, own, *_ = told
        news = seen or 0, returned or ()
        current = self._marks.get(queue, before)
        looked, filled = not before.usable(now), next_due == now
        if current.seen != before.seen:  # another thread knows of later returns than this claim did
            after = current.lowered(*news)
        elif again or (not taken if filled else not looked):
            after = before.lowered(*news)
        else:
            last = max(row[_ABOUT_JOB:_ID] for row in taken) if filled else END
            after = (before.looking(now) if looked else before).lowered(*news).passed(now, last)
            if looked:
                after = after.based(oldest, own)
        self._marks[queue] = after


def _rest(asked: Parameters, claimed: Claimed) -> Parameters:
    """What is still to be claimed; what is claimed already is given along."""
    return {
        **asked,
        "jobs": asked["jobs"] - len(claimed.claims),
        "max_bytes": asked["max_bytes"] - sum(len(claim.payload) for claim in claimed.claims),
        "onward": bool(claimed.claims),
    }
