"""A backend with defaults for all that a test doesn't speak of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any, Final

from jobcore.backend import (
    Answer,
    Backend,
    Claim,
    Claimed,
    Counts,
    Entry,
    Fail,
    Hold,
    Keep,
    Outcome,
    Push,
    Pushed,
    State,
    Succeed,
)
from jobcore.conformance.harness import Harness

MICROSECONDS: Final = 1_000_000
ROOMY: Final = Keep(failed=1000, succeeded=1000)
NO_BOUND: Final = 1 << 40

_calls: Final = count(1)


def new_call() -> bytes:
    """16 bytes that no other claim of this process is called with."""
    return next(_calls).to_bytes(16)


class Client:
    """One client of the store. Durations are in units (see `Harness.unit`), times in µs of the store's clock."""

    def __init__(self, backend: Backend, harness: Harness, holder: str) -> None:
        self.backend = backend
        self.harness = harness
        self.holder = holder

    # -- in and out

    def push(
        self, *ids: str, queue: str = "q", payload: bytes = b"{}", delay: float = 0, **fields: Any
    ) -> list[Pushed]:
        """Push a batch of jobs that are alike but for their ids."""
        return self.backend.push(queue, [Push(id, payload, delay=self.units(delay), **fields) for id in ids])

    def claimed(
        self,
        limit: int = 100,
        *,
        queue: str = "q",
        lease: float = 10,
        holder: str | None = None,
        call: bytes | None = None,
        max_bytes: int = NO_BOUND,
    ) -> Claimed:
        """Claim, with all that is answered."""
        return self.backend.claim(queue, limit, self.units(lease), holder or self.holder, call or new_call(), max_bytes)

    def claim(self, limit: int = 100, **options: Any) -> list[Claim]:
        """Claim, and give the claims alone."""
        return self.claimed(limit, **options).claims

    def take(self, id: str, **options: Any) -> Claim:
        """Push a job, and claim it: the only one that is due."""
        self.push(id, **options)
        (claim,) = self.claim()
        assert claim.id == id
        return claim

    def reclaim(
        self,
        limit: int = 100,
        *,
        queue: str = "q",
        lease: float = 10,
        holder: str | None = None,
        call: bytes | None = None,
        of: str | None = None,
    ) -> list[Claim]:
        """Reclaim."""
        return self.backend.reclaim(queue, limit, self.units(lease), holder or self.holder, call or new_call(), of)

    def extend(self, *holds: Hold, queue: str = "q", lease: float = 10) -> list[Answer]:
        """Extend leases, asking again where the answer is BUSY."""
        for _ in range(1000):
            answers = self.backend.extend(queue, holds, self.units(lease))
            if Answer.BUSY not in answers:
                return answers
        raise AssertionError("extend says BUSY though nobody else is at work")

    def settle(self, outcome: Outcome, *claims: Claim | Hold, keep: Keep = ROOMY, queue: str = "q") -> list[Answer]:
        """Settle a batch of claims, all in the same way."""
        holds = [claim.hold if isinstance(claim, Claim) else claim for claim in claims]
        return self.backend.settle(queue, [(hold, outcome) for hold in holds], keep)

    def redrive(self, *ids: str, queue: str = "q") -> list[Answer]:
        """Redrive."""
        return self.backend.redrive(queue, ids)

    def remove(self, *ids: str, queue: str = "q") -> list[Answer]:
        """Remove."""
        return self.backend.remove(queue, ids)

    def put(self, id: str, state: State, queue: str = "q", **fields: Any) -> Entry:
        """Push a job and bring it into a state, while nothing else is due."""
        self.push(id, queue=queue, delay=1000 if state is State.SCHEDULED else 0, **fields)
        if state not in {State.READY, State.SCHEDULED}:
            (claim,) = self.claim(queue=queue, lease=1000)
            if state is State.SUCCEEDED:
                self.settle(Succeed(), claim, queue=queue)
            elif state is not State.RUNNING:
                self.settle(Fail(state, "why"), claim, queue=queue)
        entry = self.entry(id, queue)
        assert entry.state is state
        return entry

    # -- looking

    def entry(self, id: str, queue: str = "q") -> Entry:
        """What is known of a job that must be there."""
        (entry,) = self.backend.get(queue, [id])
        assert entry is not None
        return entry

    def pages(self, state: State, size: int, queue: str = "q") -> Iterator[Sequence[Entry]]:
        """A state's listing, page by page."""
        after = None
        for _ in range(1000):
            page = self.backend.peek(queue, state, size, after)
            assert len(page.entries) <= size
            yield page.entries
            after = page.next
            if after is None:
                return
        raise AssertionError("the listing never ends")

    def listing(self, state: State, queue: str = "q", size: int = 100) -> list[Entry]:
        """A state's whole listing."""
        return [entry for page in self.pages(state, size, queue) for entry in page]

    def ids(self, state: State, queue: str = "q") -> list[str]:
        """The ids of a state's listing, in its order."""
        return [entry.id for entry in self.listing(state, queue)]

    def counts(self, queue: str = "q") -> Counts:
        """How many there are."""
        return self.backend.counts(queue)

    def picture(self, queue: str = "q") -> tuple[Counts, dict[State, list[Entry]]]:
        """All that can be seen of a queue, to say that nothing changed."""
        return self.counts(queue), {state: self.listing(state, queue) for state in State}

    # -- time

    def units(self, units: float) -> int:
        """Units in microseconds."""
        return round(units * self.harness.unit * MICROSECONDS)

    def now(self, queue: str = "q") -> int:
        """The store's clock, which a claim of nothing tells."""
        return self.claimed(0, queue=queue).now

    def reach(self, time: int) -> None:
        """Let the store's clock come to `time`: exactly, if it is the harness's."""
        while (ahead := time - self.now()) > 0:
            self.harness.advance(ahead / MICROSECONDS)

    def reach_before(self, time: int) -> None:
        """Let it come to the last microsecond before `time`; if that can't be done, stay where it is."""
        if self.harness.clock:
            self.reach(time - 1)

    def elapse(self, units: float) -> None:
        """Let some time pass."""
        self.reach(self.now() + self.units(units))
