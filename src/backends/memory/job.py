"""A stored job."""

from __future__ import annotations

from typing import Any, TypeAlias

from msgspec import Struct

from jobcore.backend import Claim, Entry, Hold, State

Key: TypeAlias = tuple[Any, ...]


class Lease(Struct, frozen=True):
    """Who holds a job, by which token, until when; `lapsed_at` is the end of the lease that it took over."""

    call: bytes
    fence: int
    holder: str
    until: int
    lapsed_at: int | None = None


class Job(Struct):
    """A job; `lease` is there while it runs."""

    id: str
    payload: bytes
    priority: int
    remember: int
    pushed_at: int
    place: int
    seq: int
    state: State = State.READY
    attempt: int = 0
    lost: int = 0
    lease: Lease | None = None
    started_at: int = 0
    finished_at: int | None = None
    settled: int = 0
    reason: str | None = None
    value: bytes | None = None

    @property
    def key(self) -> Key:
        """Where it stands among the jobs of its state; only a move changes it."""
        match self.state:
            case State.READY:
                return (-self.priority, self.place, self.seq, self.id)
            case State.RUNNING:
                return (self.started_at, self.seq, self.id)
            case _:
                return (-self.settled, self.id)

    def view(self, now: int) -> State:
        """Its state, with READY and SCHEDULED told apart."""
        return State.SCHEDULED if self.state is State.READY and self.place > now else self.state

    def claim(self, lease: Lease) -> Claim:
        """What its holder is told."""
        return Claim(
            id=self.id,
            call=lease.call,
            fence=lease.fence,
            payload=self.payload,
            priority=self.priority,
            attempt=self.attempt,
            lost=self.lost,
            pushed_at=self.pushed_at,
            started_at=self.started_at,
            lease_until=lease.until,
            lapsed_at=lease.lapsed_at,
        )

    def entry(self, now: int) -> Entry:
        """All that is known of it."""
        return Entry(
            id=self.id,
            state=self.view(now),
            payload=self.payload,
            priority=self.priority,
            place=self.place,
            attempt=self.attempt,
            lost=self.lost,
            pushed_at=self.pushed_at,
            started_at=None if self.state is State.READY else self.started_at,
            lease_until=self.lease.until if self.lease else None,
            holder=self.lease.holder if self.lease else None,
            finished_at=self.finished_at,
            reason=self.reason,
            value=self.value,
        )

    def held_by(self, hold: Hold) -> bool:
        """Whether a token is the current one."""
        return self.lease is not None and (self.lease.call, self.lease.fence) == (hold.call, hold.fence)
