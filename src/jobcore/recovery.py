"""Recovering: what a dead worker held is run again, or failed once that has happened too often."""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from jobcore import clocks
from jobcore.backend import Answer, BackendError, Claim, Fail, Hold, Outcome, QueueClosed, Return, State
from jobcore.codec import Undecodable
from jobcore.events import Event, Kind, Teller

if TYPE_CHECKING:
    from jobcore.backend import Backend
    from jobcore.binding import Binding
    from jobcore.queue import Queue

HEAL_SECONDS: Final = 30.0
HEAL_JOBS: Final = 1000
"""So many broken jobs are tried again at the most, so often."""

_BATCH: Final = 100
_log: Final = logging.getLogger("jobcore")


class Recovery:
    """What a monitor does for one queue.

    Args:
        queue: whose jobs they are.
        binding: where they are.
        holder: under which the store knows what is taken over.
        lease: seconds for which that is held.
        abandon_after: seconds after the end of a lease when its job is given up.
        heal: whether broken jobs that can be decoded are redriven.
    """

    def __init__(
        self, queue: Queue[Any], binding: Binding, *, holder: str, lease: float, abandon_after: float, heal: bool
    ) -> None:
        self.teller = Teller(())
        self.hushed: Callable[[], bool] = lambda: False  # whether to take nothing over just now
        self.away = False  # whether the store did not answer the last time
        self._name = queue.name
        self._keep = queue.keep
        self._registry = queue.registry
        self._policy = queue.policy
        self._binding = binding
        self._holder = holder
        self._lease = round(lease * 1_000_000)
        self._abandon_after = abandon_after
        self._heals = heal
        self._call: bytes | None = None  # of a reclaim that no answer came to
        self._held: list[Claim] = []  # taken over, and not settled yet
        self._closed = False
        self._heal_at = 0.0
        self._after: str | None = None
        self._tried: set[tuple[str, int]] = set()

    @property
    def backend(self) -> Backend:
        """Where the jobs are."""
        return self._binding.backend

    @property
    def holds(self) -> bool:
        """Whether something is taken over and not settled, or may be."""
        return not self._closed and (self._call is not None or bool(self._held))

    def step(self) -> int:
        """Bring back what was lost and what can be decoded by now; returns how many jobs. Raises BackendError."""
        return self.recover() + self._heal()

    def step_anyway(self) -> None:
        """The same, but a store that is away, or anything else, is told of and tried again at the next step."""
        try:
            if not self._closed:
                self.step()
        except QueueClosed:
            self._closed = True
        except Exception as error:  # noqa: BLE001 -- whatever a client library raises
            if not isinstance(error, BackendError):
                _log.error("a monitor met an unforeseen error, and goes on", exc_info=error)
            self.away = True
            self._tell(Kind.AWAY, reason=f"{type(error).__name__}: {error}")
        else:
            if self.away:
                self.away = False
                self._tell(Kind.BACK)

    def recover(self, of: str | None = None) -> int:
        """Bring back what was lost, or what a holder had that is known to be dead; returns how many jobs.

        What was taken over and could not be settled is settled first, by the next call.

        Raises:
            BackendError: the store did not answer as it should.
        """
        recovered = 0
        while self._held or self._reclaim(of):
            claims = self._held
            decided: list[tuple[Hold, Outcome]] = [(claim.hold, self._decide(claim)) for claim in claims]
            answers = self._binding.backend.settle(self._name, decided, self._keep)
            self._held = []
            self._tell_decided(claims, decided, answers)
            recovered += answers.count(Answer.DONE)
        return recovered

    def _reclaim(self, of: str | None) -> bool:
        doubted = self._call is not None
        self._call = self._call or os.urandom(16)  # before looking, so that whoever is to run alone sees it
        if not doubted and self.hushed():
            self._call = None
            return False
        backend = self._binding.backend
        self._held = backend.reclaim(self._name, _BATCH, self._lease, self._holder, self._call, of)
        self._call = None
        return bool(self._held)

    def _decide(self, claim: Claim) -> Outcome:
        """What becomes of a job whose holder is gone."""
        over = self._over(claim)
        if over > self._abandon_after:
            return Fail(State.FAILED, f"abandoned: its lease ended {over:.0f} s before anybody looked")
        if claim.lost >= self._max_lost(claim.payload):
            return Fail(State.FAILED, f"lost {claim.lost} times")
        return Return()

    def _over(self, claim: Claim) -> float:
        """For how many seconds its old lease had been over; negative where its holder was known to be dead sooner."""
        return (claim.lease_until - self._lease - (claim.lapsed_at or 0)) / 1_000_000

    def _max_lost(self, payload: bytes) -> int:
        try:
            return self._registry.open(payload)[0].policy.max_lost
        except Undecodable:
            return self._policy.max_lost

    def _heal(self) -> int:
        """Redrive broken jobs that can be decoded now; a payload is tried once in this process's life."""
        if not self._heals or clocks.steady() < self._heal_at:
            return 0
        backend = self._binding.backend
        page = backend.peek(self._name, State.BROKEN, HEAL_JOBS, self._after)
        self._after = page.next
        self._heal_at = clocks.steady() + HEAL_SECONDS * random.uniform(1, 1.1)  # noqa: S311 -- spreads load
        fresh = [entry for entry in page.entries if (entry.id, hash(entry.payload)) not in self._tried]
        sound = [entry.id for entry in fresh if self._decodes(entry.payload)]
        answers = backend.redrive(self._name, sound) if sound else []
        self._tried.update((entry.id, hash(entry.payload)) for entry in fresh)
        healed = [id for id, answer in zip(sound, answers, strict=True) if answer is Answer.DONE]
        for id in healed:
            self._tell(Kind.HEALED, id, reason="it can be decoded now")
        return len(healed)

    def _decodes(self, payload: bytes) -> bool:
        try:
            type, args = self._registry.open(payload)
            type.decode(args)
        except Undecodable:
            return False
        return True

    # -- telling

    def _tell(self, kind: Kind, id: str | None = None, *, reason: str = "") -> None:
        self.teller.tell([Event(kind, self._name, id, at=clocks.wall(), reason=reason)])

    def _tell_decided(self, claims: list[Claim], decided: list[tuple[Hold, Outcome]], answers: list[Answer]) -> None:
        told = zip(claims, decided, answers, strict=True)
        self.teller.tell([self._event(claim, outcome) for claim, (_, outcome), answer in told if answer is Answer.DONE])

    def _event(self, claim: Claim, outcome: Outcome) -> Event:
        kind, reason = Kind.RECOVERED, "its lease ended" if self._over(claim) >= 0 else "its process died"
        if isinstance(outcome, Fail):
            kind, reason = Kind.FAILED, outcome.reason
        try:
            name = self._registry.open(claim.payload)[0].name
        except Undecodable:
            name = None
        return Event(kind, self._name, claim.id, name, clocks.wall(), claim.attempt, claim.lost, reason=reason)
