"""The protocol: twelve verbs, batch-first, each with the conditions that it keeps.

The conformance suite checks these sentences; the numbers are those of the laws (docs/semantics.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from jobcore.backend.states import State
from jobcore.backend.values import (
    Answer,
    Claim,
    Claimed,
    Counts,
    Entry,
    Hold,
    Keep,
    Outcome,
    Page,
    Push,
    Pushed,
)


class Backend(Protocol):
    """A store of jobs. It only stores: what to do with a job is decided by its callers.

    Thread-safe, and no call waits for another thread's call to end. Each call is atomic, bounded by
    the driver's timeout, and never repeated by the driver. A batch means its items one after another;
    an empty batch changes nothing. Malformed arguments raise `InvalidArgument` and change nothing.
    `Unavailable`: not carried out; `Refused`: likewise; `Uncertain`: sent, and no answer came.
    """

    def push(self, queue: str, pushes: Sequence[Push]) -> list[Pushed]:
        """Store each job whose id is neither in the store (in any state) nor remembered (1, 5)."""
        ...

    def claim(self, queue: str, limit: int, lease: int, holder: str, call: bytes, max_bytes: int) -> Claimed:
        """Take up to `limit` due jobs, and `max_bytes` of payload but for the first, in order (3, 6).

        If `call` still holds jobs, give exactly those again and change nothing. Nothing due: change nothing (7).
        """
        ...

    def reclaim(
        self, queue: str, limit: int, lease: int, holder: str, call: bytes, of: str | None = None
    ) -> list[Claim]:
        """Take over up to `limit` running jobs whose lease has run out, the longest ago first (2, 3).

        `of`: those of that holder in its place, whose process is known dead, lease or no lease. Repeats as `claim`,
        in the same order.
        """
        ...

    def extend(self, queue: str, holds: Sequence[Hold], lease: int) -> list[Answer]:
        """HELD: the token is current, and its lease now ends at now + lease. LOST: it is not (4).

        BUSY: not known just now, the lease unchanged, ask again.
        """
        ...

    def settle(self, queue: str, settlements: Sequence[tuple[Hold, Outcome]], keep: Keep) -> list[Answer]:
        """DONE: the token was current and the job has moved. LOST: it was not, and nothing changed (4, 9, 11)."""
        ...

    def peek(self, queue: str, state: State, limit: int, after: str | None = None) -> Page:
        """List a state: READY and SCHEDULED by key, RUNNING by start, the rest newest settled first.

        A job that stays in its state throughout a paged listing is given exactly once.
        """
        ...

    def get(self, queue: str, ids: Sequence[str]) -> list[Entry | None]:
        """What is known of each id; None for one that is not in the store."""
        ...

    def counts(self, queue: str) -> Counts:
        """How many jobs are in each state."""
        ...

    def redrive(self, queue: str, ids: Sequence[str]) -> list[Answer]:
        """DONE: it was FAILED, TIMED_OUT or BROKEN and is READY at a new place. Else WRONG_STATE or MISSING."""
        ...

    def remove(self, queue: str, ids: Sequence[str]) -> list[Answer]:
        """DONE: it is gone. WRONG_STATE: it is RUNNING. MISSING: there is none."""
        ...

    def destroy(self, queue: str) -> None:
        """Remove all of the queue at once: jobs in any state, remembered ids, tokens (10)."""
        ...

    def close(self) -> None:
        """Free what this object opened. Any later call raises `QueueClosed`; closing twice is allowed."""
        ...
