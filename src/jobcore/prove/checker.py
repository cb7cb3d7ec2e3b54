"""The checker: what went into a queue must have come out of it, and nothing else, and nothing twice without a reason.

After Jepsen's `total-queue` (jepsen-io/jepsen, `jepsen.checker`), whose words these are: *lost* is what was
acknowledged and never came out, *unexpected* what came out and was never put in, *duplicated* what came out more than
once, *recovered* what came out though its push was never acknowledged. A queue of leases is asked for more:

* To have come out is to be settled for good. What was only begun and then vanished is lost.
* A run after a run needs a reason: the first was settled as to be run again (that is no duplicate), or its lease had
  ended, or an answer was lost that may have done it. A lease that was over too early is no reason.
* A settlement or an extension that was sent after the job had been given to somebody else must not have been accepted.

Nothing here knows a store or a clock: a history is values, and checking it takes O(n log n).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from itertools import pairwise

from msgspec import Struct

from jobcore.backend import Answer


class Pushing(Struct, frozen=True):
    """A push that was sent. One that is known not to have been carried out is left out of a history.

    Attributes:
        acknowledged: whether an answer came.
        remembered: whether the id is remembered for longer than the history lasts, so that no repeat can store it anew.
    """

    id: str
    acknowledged: bool
    remembered: bool = False


class Taking(Struct, frozen=True):
    """A token that a claim or a reclaim gave out: `(id, fence)`.

    Attributes:
        answered: when the answer was there.
        until: before which its lease can't have ended: the lease's length after the call was *sent*. Where it was taken
            from a holder known to be dead, that holder's takings have the moment of its death here.
        lost: as `Claim.lost`.
    """

    id: str
    fence: int
    answered: int
    until: int
    lost: int = 0


class Extension(Struct, frozen=True):
    """An `extend` that was answered with HELD; `until` as in `Taking`."""

    id: str
    fence: int
    sent: int
    until: int


class Start(Struct, frozen=True):
    """A job began to run under a token."""

    id: str
    fence: int


class Settlement(Struct, frozen=True):
    """A `settle` that was sent. One that is known not to have been carried out is left out of a history.

    Attributes:
        ends: whether it ends the job (a success or a failure), or has it run again (a retry or a return).
        answer: DONE or LOST; None if no answer came.
    """

    id: str
    fence: int
    sent: int
    ends: bool
    answer: Answer | None


class History(Struct, frozen=True):
    """What clients of one queue saw, in any order, from an empty queue to one that was left alone.

    Times are integer microseconds of one clock that all clients share and that never steps. Nobody may have redriven,
    removed or destroyed jobs meanwhile.

    Attributes:
        remaining: the ids of all jobs that are in the store at the end, in any state.
    """

    pushes: Sequence[Pushing] = ()
    takings: Sequence[Taking] = ()
    extensions: Sequence[Extension] = ()
    starts: Sequence[Start] = ()
    settlements: Sequence[Settlement] = ()
    remaining: frozenset[str] = frozenset()


class Reason(StrEnum):
    """Why a job may have run again."""

    LEASE_ENDED = "its lease had ended"
    SETTLEMENT_UNANSWERED = "its retry was sent, and the answer lost"
    PUSH_UNANSWERED = "its push was repeated, as the first answer was lost"


class Duplicate(Struct, frozen=True):
    """A job that ran under `fence` had run under `after` before; `reason` is None where nothing explains it."""

    id: str
    after: int
    fence: int
    reason: Reason | None


class Verdict(Struct, frozen=True):
    """What a history amounts to. Ids are sorted.

    Attributes:
        attempted: ids whose push was sent.
        acknowledged: ids whose push was answered.
        run: ids that began to run.
        runs: how often any of them did.
        lost: acknowledged, neither settled for good nor in the store. (A settlement for good that no answer came to
            may have been carried out, and counts as such.)
        unexpected: begun or in the store, and never pushed.
        recovered: begun, and never acknowledged.
        duplicates: runs after runs that were not asked for.
        stale: tokens under which a settlement or an extension was accepted though it was sent after the job had been
            taken under a later one, or settled under the same.
        refused: how many settlements were answered with LOST.
    """

    attempted: int
    acknowledged: int
    run: int
    runs: int
    lost: list[str]
    unexpected: list[str]
    recovered: list[str]
    duplicates: list[Duplicate]
    stale: list[tuple[str, int]]
    refused: int

    @property
    def unexplained(self) -> list[Duplicate]:
        """The duplicates that nothing explains."""
        return [duplicate for duplicate in self.duplicates if duplicate.reason is None]

    @property
    def sound(self) -> bool:
        """Whether the store kept its word."""
        return not (self.lost or self.unexpected or self.unexplained or self.stale)


def check(history: History) -> Verdict:
    """Say what was lost, unexpected, recovered, run twice, and accepted from those who no longer held it."""
    attempted = {push.id for push in history.pushes}
    acknowledged = {push.id for push in history.pushes if push.acknowledged}
    run = {start.id for start in history.starts}
    ended = {each.id for each in history.settlements if each.ends and each.answer is not Answer.LOST}
    lives = _lives(history)
    return Verdict(
        attempted=len(attempted),
        acknowledged=len(acknowledged),
        run=len(run),
        runs=len(history.starts),
        lost=sorted(acknowledged - ended - history.remaining),
        unexpected=sorted((run | history.remaining) - attempted),
        recovered=sorted((run & attempted) - acknowledged),
        duplicates=[duplicate for id in sorted(run) for duplicate in lives[id].duplicates()],
        stale=[(id, fence) for id in sorted(lives) for fence in lives[id].stale()],
        refused=sum(each.answer is Answer.LOST for each in history.settlements),
    )


class _Life:
    """All that happened to one id; of each kind in the order of tokens."""

    def __init__(self, id: str) -> None:
        self.id = id
        self.pushes: list[Pushing] = []
        self.takings: list[Taking] = []
        self.extensions: list[Extension] = []
        self.starts: list[Start] = []
        self.settlements: list[Settlement] = []

    def duplicates(self) -> list[Duplicate]:
        """The runs that followed another without having been asked for."""
        found = [(before.fence, start.fence) for before, start in pairwise(self.starts)]
        return [
            Duplicate(self.id, before, fence, self._reason(before, fence))
            for before, fence in found
            if before == fence or not self._was_to_run_again(before)
        ]

    def stale(self) -> list[int]:
        """The tokens that were accepted after they had ceased to be current."""
        done = [each for each in self.settlements if each.answer is Answer.DONE]
        accepted: list[Settlement | Extension] = [*done, *self.extensions]
        late = {each.fence for each in accepted if self._was_taken(each.fence, before=each.sent)}
        twice = {first.fence for first, second in pairwise(done) if first.fence == second.fence}
        return sorted(late | twice)

    def _was_taken(self, fence: int, *, before: int) -> bool:
        """Whether somebody had a later token before that time."""
        return any(taking.fence > fence and taking.answered < before for taking in self.takings)

    def _was_to_run_again(self, fence: int) -> bool:
        """Whether the run under a token was settled as a retry or a return."""
        return any(each.fence == fence and each.answer is Answer.DONE and not each.ends for each in self.settlements)

    def _reason(self, before: int, fence: int) -> Reason | None:
        between = [each for each in self.settlements if before <= each.fence < fence]
        if before == fence:
            return None
        if any(each.ends and each.answer is Answer.DONE for each in between):
            return Reason.PUSH_UNANSWERED if self._may_be_stored_anew() else None
        if self._had_ended(before, fence):
            return Reason.LEASE_ENDED
        if any(each.fence == before and each.answer is None and not each.ends for each in between):
            return Reason.SETTLEMENT_UNANSWERED
        unknown = any(each.ends and each.answer is None for each in between)
        return Reason.PUSH_UNANSWERED if unknown and self._may_be_stored_anew() else None

    def _may_be_stored_anew(self) -> bool:
        """Whether the id was pushed more than once, as it was not known whether it had been stored."""
        return len(self.pushes) > 1 and any(not push.acknowledged and not push.remembered for push in self.pushes)

    def _had_ended(self, before: int, fence: int) -> bool:
        """Whether the store counted a lease that ended between two runs, and not before it could have."""
        span = [taking for taking in self.takings if before <= taking.fence <= fence]
        if not span or span[0].fence != before:
            return False
        held = [each.until for each in self.extensions if each.fence == before]
        takeover = next((taking for taking in span if taking.lost > span[0].lost), None)
        return takeover is not None and takeover.answered >= max(span[0].until, *held, 0)


class _Lives(dict[str, _Life]):
    def __missing__(self, id: str) -> _Life:
        self[id] = life = _Life(id)
        return life


def _lives(history: History) -> _Lives:
    """A history by ids."""
    lives = _Lives()
    for push in history.pushes:
        lives[push.id].pushes.append(push)
    for taking in sorted(history.takings, key=_by_fence):
        lives[taking.id].takings.append(taking)
    for extension in history.extensions:
        lives[extension.id].extensions.append(extension)
    for start in sorted(history.starts, key=_by_fence):
        lives[start.id].starts.append(start)
    for settlement in sorted(history.settlements, key=_by_fence):
        lives[settlement.id].settlements.append(settlement)
    return lives


def _by_fence(each: Taking | Start | Settlement) -> int:
    return each.fence
