"""The frozen values that go into a driver and come out of it.

All times are integer microseconds of the store's clock, since the Unix epoch; all durations are
integer microseconds, but for `Push.remember`, which is whole seconds.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, TypeAlias

from msgspec import Struct
from msgspec.structs import force_setattr

from jobcore.backend.states import State

REASON_LIMIT: Final = 4096
"""Bytes of UTF-8 that a reason is cut at."""


class Answer(StrEnum):
    """What a verb says of one item of its batch."""

    DONE = "done"
    HELD = "held"
    LOST = "lost"
    BUSY = "busy"
    MISSING = "missing"
    WRONG_STATE = "wrong_state"


class Push(Struct, frozen=True):
    """A job to be stored.

    Attributes:
        id: 1 to 200 bytes of UTF-8 without control characters.
        payload: any bytes; they come back exactly.
        priority: -100 to 100, higher first.
        delay: microseconds from the store's now; excludes `run_at`.
        run_at: the time before which it is not run; a past one means now.
        remember: seconds for which the id is remembered once its job has left the store (0: not).
    """

    id: str
    payload: bytes
    priority: int = 0
    delay: int = 0
    run_at: int | None = None
    remember: int = 0


class Pushed(Struct, frozen=True):
    """What became of a `Push`.

    Attributes:
        created: whether this push stored the job.
        state: the state of the job of that id; None when the id is only remembered.
    """

    id: str
    created: bool
    state: State | None


class Hold(Struct, frozen=True):
    """A claim's token with the id of its job: what `extend` and `settle` are asked with.

    Attributes:
        call: the 16 random bytes that the claiming call was made with.
        fence: an integer that rises with each claim of the job.
    """

    id: str
    call: bytes
    fence: int


class Claim(Struct, frozen=True):
    """A job that the caller now holds.

    Attributes:
        attempt: 1 for the first run; Returns are not counted.
        lost: how many leases of this job ended without a settlement.
        started_at: the time of the claim (a reclaim keeps it).
        lease_until: the time at which the lease runs out.
        lapsed_at: from `reclaim`: when the lease that was taken over ended or would have; else None.
    """

    id: str
    call: bytes
    fence: int
    payload: bytes
    priority: int
    attempt: int
    lost: int
    pushed_at: int
    started_at: int
    lease_until: int
    lapsed_at: int | None = None

    @property
    def hold(self) -> Hold:
        """The token of this claim."""
        return Hold(self.id, self.call, self.fence)


class Claimed(Struct, frozen=True):
    """What a `claim` gave.

    Attributes:
        claims: in the order of the key `(-priority, place, seq)`.
        now: the store's clock.
        next_due: `now` when the claim stopped at `limit` or `max_bytes` or was a repeat; else the
            smallest place that lies ahead, over all priorities; None when there is none.
    """

    claims: list[Claim]
    now: int
    next_due: int | None


class Succeed(Struct, frozen=True):
    """The job is done. `value` (JSON) is kept with it if successes are kept."""

    value: bytes | None = None


class Retry(Struct, frozen=True):
    """The job is to run again, `delay` microseconds from now, behind what is ready by then."""

    delay: int = 0
    reason: str = ""

    def __post_init__(self) -> None:
        force_setattr(self, "reason", _clean(self.reason))


class Fail(Struct, frozen=True):
    """The job has ended: `state` is FAILED, TIMED_OUT or BROKEN."""

    state: State = State.FAILED
    reason: str = ""

    def __post_init__(self) -> None:
        force_setattr(self, "reason", _clean(self.reason))


class Return(Struct, frozen=True):
    """The job goes back to its old place, and the attempt is not counted."""


Outcome: TypeAlias = Succeed | Retry | Fail | Return
"""What a settlement says of a running job."""


def _clean(reason: str) -> str:
    """What every store can keep: no NUL, no lone surrogates, at most REASON_LIMIT bytes."""
    stored = reason.replace("\0", "").encode(errors="replace")
    return stored[:REASON_LIMIT].decode(errors="ignore")


class Keep(Struct, frozen=True):
    """How many finished jobs a queue keeps: `failed` for FAILED and TIMED_OUT together."""

    failed: int = 1000
    succeeded: int = 0


class Entry(Struct, frozen=True):
    """All that the store knows of one job.

    Attributes:
        state: READY or SCHEDULED by whether `place` has come.
        place: when it is or was due; its place in the order of its priority.
        attempt: runs begun and counted.
        started_at: when its last run was claimed; None while READY or SCHEDULED.
        lease_until: None unless RUNNING.
        holder: None unless RUNNING.
        finished_at: None unless finished.
        reason: why it was last retried, or why it failed; None after a success or a redrive.
        value: the JSON that it succeeded with, if any.
    """

    id: str
    state: State
    payload: bytes
    priority: int
    place: int
    attempt: int
    lost: int
    pushed_at: int
    started_at: int | None = None
    lease_until: int | None = None
    holder: str | None = None
    finished_at: int | None = None
    reason: str | None = None
    value: bytes | None = None


class Page(Struct, frozen=True):
    """Some entries of a listing, and the cursor for those that follow (None: there are none)."""

    entries: list[Entry]
    next: str | None


class Counts(Struct, frozen=True):
    """How many jobs of a queue are in each state."""

    ready: int = 0
    scheduled: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    timed_out: int = 0
    broken: int = 0
