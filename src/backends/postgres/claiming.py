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
        self._futile: dict[str, int] = {}  # how many claims in a row found none of the jobs that were told to be due

    def expect(self, queue: str) -> None:
        """Be told that a job is due there. If that was so before and a claim found none, the next looks at everything.

        So who waits does not go round and round for a job that some program made ready at a place long passed.
        """
        if self._futile.setdefault(queue, 0):
            self._marks.pop(queue, None)

    def barred(self, queue: str) -> bool:
        """Whether what is due there can't be had just now, though everything was looked at: somebody has locked it."""
        return self._futile.get(queue, 0) > 1

    def claim(self, queue: str, asked: Parameters) -> Claimed:
        """Claim; `asked` are the parameters of claim.sql without the marks."""
        claimed = self._claim(queue, asked)
        if claimed.claims:
            self._futile.pop(queue, None)
        elif queue in self._futile:
            self._futile[queue] += 1
        return claimed

    def _claim(self, queue: str, asked: Parameters) -> Claimed:
        marks = self._marks.get(queue, Marks())
        found = self._attempt(self._database.run, queue, {**asked, "onward": False}, marks)
        claimed = _claimed(found)
        if claimed.next_due == claimed.now or not marks.usable(claimed.now):
            return claimed
        run = self._database.run_further if claimed.claims else self._database.run
        # What was taken is told from the first answer: by the second, somebody may have taken it over.
        return _claimed(
            self._attempt(run, queue, _rest(asked, claimed), self._marks.get(queue, Marks()).to_look()), found
        )

    def _attempt(self, run: Run, queue: str, asked: Parameters, marks: Marks) -> list[Row]:
        """The rows of one statement."""
        found = run("claim", {"queue": queue, **asked, **marks.parameters()})
        again = found[0][2]
        self._learn(queue, marks, found[0], [] if again else _given(found))
        return found

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


def _given(found: Sequence[Row]) -> list[Row]:
    """The rows that have a job: one without stands for none at all."""
    return [row for row in found if row[_ID] is not None]


def _claimed(found: Sequence[Row], before: Sequence[Row] = ()) -> Claimed:
    """The answer to a claim whose last statement gave `found`, and an earlier one `before`."""
    now, next_due, *_ = found[0]
    given = [*_given(before), *_given(found)]
    return Claimed(rows.claims([row[_ABOUT_JOB:] for row in given]), now, next_due)


def _rest(asked: Parameters, claimed: Claimed) -> Parameters:
    """What is still to be claimed."""
    return {
        **asked,
        "jobs": asked["jobs"] - len(claimed.claims),
        "max_bytes": asked["max_bytes"] - sum(len(claim.payload) for claim in claimed.claims),
        "onward": bool(claimed.claims),
    }
