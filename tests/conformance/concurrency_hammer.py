"""A client that makes calls as they come, on few jobs, so that it meets others at each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Final, TypeVar

from jobcore.backend import Backend, Fail, Hold, Keep, Outcome, Push, Retry, Return, State, Succeed
from jobcore.conformance.client import NO_BOUND
from jobcore.conformance.history import Operation, Recording

T = TypeVar("T")

JOBS: Final = ("a", "b", "c", "d")
HOUR: Final = 3_600_000_000
"""Microseconds that no history lasts for: a job delayed by so much is not run."""

SHORT: Final = 1_000
"""Microseconds of a lease that runs out soon."""

DEAD: Final = "a dead client"
"""The holder of claims whose answers nobody was there to hear."""

CALLS: Final = 1_000
"""No client makes so many claims: calls are told apart by the number of their client in thousands."""

KEEPS: Final = (Keep(1000, 1000), Keep(1000, 0))
"""What a history's settlements name: no job is trimmed by another's, but a success may leave at once."""

_WEIGHTS: Final = {
    "push": 6,
    "claim": 8,
    "claim_and_die": 1,
    "settle": 10,
    "extend": 2,
    "reclaim": 8,
    "redrive": 4,
    "remove": 5,
    "get": 5,
    "pass_time": 2,
    "destroy": 0.5,
}
_OUTCOMES: Final[Sequence[Outcome]] = (
    Succeed(),
    Succeed(b"1"),
    Retry(),
    Retry(),
    Retry(HOUR, "later"),
    Return(),
    Fail(),
    Fail(State.TIMED_OUT, "late"),
    Fail(State.BROKEN, "what?"),
    Return(),
)


class Hammer:
    """Calls drawn from a seed.

    Args:
        backend: what they are made to.
        queue: the queue.
        number: which client this is.
        seed: what all clients of a history have in common.
        tokens: those that any client of this process was ever given.
        meet: waits until all clients are there, so that they begin their next calls at once.

    Attributes:
        pass_time: lets time go by; given to one client at the most, where that is in our hands.
    """

    def __init__(
        self,
        backend: Backend,
        queue: str,
        number: int,
        seed: int,
        tokens: list[Hold],
        meet: Callable[[], object],
    ) -> None:
        self._record = Recording(backend, queue, f"client {number}", JOBS)
        self._chance = Random(f"{seed} {number}")
        self._common = Random(seed)  # alike for all: in each round, they make few kinds of calls on few jobs
        self._keep = KEEPS[seed % len(KEEPS)]
        self._tokens = tokens
        self._mine: list[Hold] = []
        self._call = number * CALLS
        self._is_first = number == 0
        self._meet = meet
        self.pass_time: Callable[[], None] = lambda: None

    def strike(self, rounds: int) -> list[Operation]:
        """Make a call in each of so many rounds, and return what was asked and answered."""
        for _ in range(rounds):
            self._jobs = self._common.sample(JOBS, self._common.randint(1, 2))
            verbs = self._common.choices([*_WEIGHTS], [*_WEIGHTS.values()], k=self._common.randint(1, 2))
            if self._is_first:
                self.prepare()
            self._meet()
            getattr(self, self._chance.choice(verbs))()
        return self._record.operations

    def prepare(self) -> None:
        """Move some jobs while the others wait: then there is something to do at once."""
        for verb in ("push", "claim", "settle", "pass_time"):
            if self._chance.random() < 0.5:
                getattr(self, verb)()

    def push(self) -> None:
        """Store jobs, some of them far ahead, with payloads that tell who was first."""
        batch = [self._push(id) for id in self._some(self._jobs)]
        if self._is_unheard():
            self._record.push(batch, heard=False)
        self._record.push(batch)

    def claim(self) -> None:
        """Claim."""
        arguments = self._chance.randint(1, 3), self._lease(), self._new_call(), NO_BOUND
        if self._is_unheard():
            self._record.claim(*arguments, heard=False)
        self._hold([claim.hold for claim in self._record.claim(*arguments)])

    def claim_and_die(self) -> None:
        """Claim as one that never hears the answer."""
        self._record.claim(1, HOUR, self._new_call(), NO_BOUND, holder=DEAD, heard=False)

    def reclaim(self) -> None:
        """Take over what lapsed, or what a client has that is dead."""
        arguments = self._chance.randint(1, 3), self._lease(), self._new_call(), self._chance.choice([None, None, DEAD])
        if self._is_unheard():
            self._record.reclaim(*arguments, heard=False)
        self._hold([claim.hold for claim in self._record.reclaim(*arguments)])

    def settle(self) -> None:
        """Settle what this client has, or what any had."""
        holds = self._holds()
        self._mine = [hold for hold in self._mine if hold not in holds]
        batch = [(hold, self._chance.choice(_OUTCOMES)) for hold in holds]
        if self._is_unheard():
            self._record.settle(batch, self._keep, heard=False)
        self._record.settle(batch, self._keep)

    def extend(self) -> None:
        """Extend such leases."""
        self._record.extend(self._holds(), self._lease())

    def redrive(self) -> None:
        """Redrive."""
        self._record.redrive(self._some(self._jobs))

    def remove(self) -> None:
        """Remove."""
        self._record.remove(self._some(self._jobs))

    def get(self) -> None:
        """Look."""
        self._record.get(self._some(self._jobs))

    def destroy(self) -> None:
        """Destroy the queue."""
        self._record.destroy()

    def look_at_all(self) -> list[Operation]:
        """At the end, when all others are done: what is there by now."""
        self._record.get(JOBS)
        return self._record.operations

    # -- what calls are made of

    def _push(self, id: str) -> Push:
        payload = f"{self._record.client}, {len(self._record.operations)}".encode()
        delay, remember = self._chance.choice([0, 0, 0, 0, 0, 0, HOUR]), self._chance.choice([0, 0, 3600])
        return Push(id, payload, self._chance.choice([0, 0, 7]), delay, remember=remember)

    def _some(self, items: Sequence[T]) -> list[T]:
        return self._chance.sample(items, self._chance.randint(1, min(3, len(items)))) if items else []

    def _holds(self) -> list[Hold]:
        """Some of the latest tokens that this client, or any, was given of the round's jobs."""
        known = self._mine if self._chance.random() < 0.3 else self._tokens[-20:]
        latest = {hold.id: hold for hold in known if hold.id in self._jobs}
        return self._some([*latest.values()])

    def _hold(self, holds: list[Hold]) -> None:
        self._mine += holds
        self._tokens += holds

    def _lease(self) -> int:
        return self._chance.choice([SHORT, SHORT, HOUR])

    def _new_call(self) -> bytes:
        self._call += 1
        return self._call.to_bytes(16)

    def _is_unheard(self) -> bool:
        """Whether a call's first answer is lost, so that the call is made once more."""
        return self._chance.random() < 0.1
