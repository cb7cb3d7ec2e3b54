"""A stored job."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from jobcore.backend import Claim, Entry, Hold, Push, State

Key: TypeAlias = tuple[int, ...]


class Job(Struct, gc=False):
    """A job; while it runs, `claim` is what its holder was told: the token, and how long it is good for."""

    push: Push
    pushed_at: int
    place: int
    seq: int  # numbers all places that jobs are given, and all ends of jobs
    state: State = State.READY
    attempt: int = 0
    lost: int = 0
    claim: Claim | None = None
    holder: str | None = None
    started_at: int = 0
    finished_at: int | None = None
    reason: str | None = None
    value: bytes | None = None

    @property
    def key(self) -> Key:
        """Where it stands in the listing of its state; only a move changes it."""
        match self.state:
            case State.READY:
                return (-self.push.priority, self.place, self.seq)
            case State.RUNNING:
                return (self.started_at, self.seq)
            case _:
                return (-self.seq,)

    def view(self, now: int) -> State:
        """Its state, with READY and SCHEDULED told apart."""
        return State.SCHEDULED if self.state is State.READY and self.place > now else self.state

    def is_held(self, hold: Hold) -> bool:
        """Whether a token is the current one."""
        claim = self.claim
        return claim is not None and claim.fence == hold.fence and claim.call == hold.call

    def entry(self, now: int) -> Entry:
        """All that is known of it."""
        return Entry(
            self.push.id,
            self.view(now),
            self.push.payload,
            self.push.priority,
            self.place,
            self.attempt,
            self.lost,
            self.pushed_at,
            started_at=None if self.state is State.READY else self.started_at,
            lease_until=self.claim.lease_until if self.claim else None,
            holder=self.holder if self.claim else None,
            finished_at=self.finished_at,
            reason=self.reason,
            value=self.value,
        )
