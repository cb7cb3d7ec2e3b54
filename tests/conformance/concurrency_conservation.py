"""What goes in comes out: producers, workers that forget, and a monitor, at work on one queue at the same time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Final

from jobcore.backend import Backend, Claim, Fail, Keep, Outcome, Push, Retry, Return, State, Succeed
from jobcore.conformance.client import NO_BOUND, new_call
from jobcore.conformance.harness import Harness
from jobcore.conformance.threads import together
from jobcore.prove.checker import History, Pushing, Settlement, Start, Taking

LEASE: Final = 1_000
"""Microseconds: soon over, where time passes by itself."""

_KEEP: Final = Keep(failed=1000, succeeded=0)
_OUTCOMES: Final[Sequence[Outcome]] = (Succeed(), Succeed(), Retry(), Return(), Fail(State.BROKEN, "what?"))


class Crowd:
    """Clients of one queue, and all that they do there as the checker wants it.

    Answers are lost now and then: of a push or a settlement it is then not known what became of it, and what a claim
    took is left to its lease. Pushes are not repeated: each id is pushed once.
    """

    def __init__(self, harness: Harness, backends: Sequence[Backend], queue: str, seed: int) -> None:
        self._harness = harness
        self._backends = backends
        self._queue = queue
        self._seed = seed
        self._producing = [*backends]  # one for each that has not ended
        self._pushes: list[Pushing] = []
        self._takings: list[Taking] = []
        self._starts: list[Start] = []
        self._settlements: list[Settlement] = []

    def work(self) -> History:
        """Have all work at once, and tell what they did and what is left."""
        one, two = self._backends
        together(
            *[partial(self._produce, backend, f"producer {n}") for n, backend in enumerate((one, two))],
            *[partial(self._consume, backend, f"worker {n}") for n, backend in enumerate((one, two, two))],
            partial(self._recover, one),
        )
        pushed = [push.id for push in self._pushes]
        return History(
            self._pushes,
            self._takings,
            starts=self._starts,
            settlements=self._settlements,
            remaining=frozenset(entry.id for entry in one.get(self._queue, pushed) if entry),
        )

    def _produce(self, backend: Backend, name: str) -> None:
        try:
            self._push(backend, name, Random(f"{self._seed} {name}"))
        finally:
            self._producing.pop()

    def _push(self, backend: Backend, name: str, chance: Random) -> None:
        for batch in range(20):
            ids = [f"{name}, {batch}.{n}" for n in range(4)]
            backend.push(self._queue, [Push(id, b"", chance.choice([0, 0, 7])) for id in ids])
            heard = _is_heard(chance)
            self._pushes += [Pushing(id, acknowledged=heard) for id in ids]

    def _consume(self, backend: Backend, name: str) -> None:
        chance = Random(f"{self._seed} {name}")
        left = 20
        while left:
            left -= not self._producing
            claims = self._take(lambda: backend.claim(self._queue, 5, LEASE, name, new_call(), NO_BOUND).claims, chance)
            self._starts += [Start(claim.id, claim.fence) for claim in claims]
            if chance.random() < 0.8:  # else it forgets them
                self._settle(backend, [(claim, chance.choice(_OUTCOMES)) for claim in claims], chance)

    def _recover(self, backend: Backend) -> None:
        """Take over what was forgotten, and give it back."""
        chance = Random(f"{self._seed} monitor")
        for _ in range(40):
            if self._harness.clock:
                self._harness.advance(LEASE / 1_000_000)
            claims = self._take(lambda: backend.reclaim(self._queue, 5, LEASE, "monitor", new_call()), chance)
            self._settle(backend, [(claim, Return()) for claim in claims], chance)

    def _take(self, call: Callable[[], list[Claim]], chance: Random) -> list[Claim]:
        sent = self._now()
        claims = call()
        answered = self._now()
        heard = claims if _is_heard(chance) else []
        self._takings += [Taking(claim.id, claim.fence, answered, sent + LEASE, claim.lost) for claim in heard]
        return heard

    def _settle(self, backend: Backend, ended: Sequence[tuple[Claim, Outcome]], chance: Random) -> None:
        sent = self._now()
        answers = backend.settle(self._queue, [(claim.hold, outcome) for claim, outcome in ended], _KEEP)
        heard = _is_heard(chance)
        self._settlements += [
            Settlement(claim.id, claim.fence, sent, isinstance(outcome, Succeed | Fail), answer if heard else None)
            for (claim, outcome), answer in zip(ended, answers, strict=True)
        ]

    def _now(self) -> int:
        """Microseconds of the clock that moves leases on, or of one that goes as fast."""
        return self._harness.clock.now() if self._harness.clock else time.monotonic_ns() // 1000


def _is_heard(chance: Random) -> bool:
    return chance.random() < 0.9
