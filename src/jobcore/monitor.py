"""Recovering: what a dead worker held is run again, or failed once that has happened too often."""

from __future__ import annotations

import logging
import os
import random
import secrets
import socket
import threading
from collections.abc import Sequence
from time import monotonic, time
from typing import TYPE_CHECKING, Any, Final

from jobcore.backend import Answer, BackendError, Claim, Fail, Hold, Outcome, QueueClosed, Return, State
from jobcore.codec import Undecodable
from jobcore.events import Event, Kind, Listener, LogListener, Teller
from jobcore.job import DAY, Seconds, seconds
from jobcore.loops import every

if TYPE_CHECKING:
    from jobcore.backend import Backend
    from jobcore.binding import Binding
    from jobcore.queue import Queue

HEAL_SECONDS: Final = 30.0
HEAL_JOBS: Final = 1000
"""So many broken jobs are tried again at the most, so often."""

_BATCH: Final = 100
_log: Final = logging.getLogger("jobcore")


class Monitor:
    """Takes over jobs whose lease has run out, and decides what becomes of them.

    Any number may run, anywhere; a worker runs one unless told not to. A job goes back to its old place
    while it was lost fewer than `max_lost` times, else it fails as lost; one whose lease ended over
    `abandon_after` ago fails as abandoned. A broken job that its queue can decode again is redriven.

    Args:
        queues: the queues to look after.
        interval: seconds between looks; None: a tenth of the lease.
        abandon_after: seconds.
        lease: seconds for which the monitor holds what it takes over.
        heal: whether broken jobs are redriven.
        on_event: listeners for what it does.
    """

    def __init__(
        self,
        *queues: Queue[Any],
        interval: Seconds | None = None,
        abandon_after: Seconds = DAY,
        lease: Seconds = 120.0,
        heal: bool = True,
        on_event: Sequence[Listener] | Listener = (),
        holder: str | None = None,
    ) -> None:
        self._lease = seconds(lease)
        self._interval = self._lease / 10 if interval is None else seconds(interval)
        self._abandon_after = seconds(abandon_after)
        self._holder = holder or new_holder()
        self._posts = [_Post(queue, queue.binding, heal=heal) for queue in queues]
        own = (on_event,) if callable(on_event) else tuple(on_event)
        listeners = [listener for queue in queues for listener in queue.listeners]
        self._teller = Teller([LogListener({queue.name: queue.logger for queue in queues}), *own, *listeners])
        self._stop = threading.Event()

    def run(self) -> None:
        """Look after the queues, at once and then at intervals, until stopped; blocks."""
        try:
            self._step_anyway()
            every(self._interval, self._step_anyway, self._stop)
        finally:
            self._teller.close()

    def stop(self) -> None:
        """Have `run` return once its current step is over."""
        self._stop.set()

    def step(self) -> int:
        """Look at each queue once, and return how many jobs were recovered.

        Raises:
            BackendError: the store did not answer as it should; the next step goes on from there.
        """
        return sum(self._recover(post) + post.heal(self._teller) for post in self._posts)

    def recover(self, holder: str) -> int:
        """Bring back at once what a holder had that is known to be dead; returns how many jobs.

        Raises:
            BackendError: as for `step`.
        """
        return sum(self._recover(post, holder) for post in self._posts)

    def _step_anyway(self) -> None:
        try:
            self.step()
        except QueueClosed:
            self._stop.set()
        except BackendError as error:
            self._teller.tell([Event(Kind.AWAY, post.name, at=time(), reason=str(error)) for post in self._posts])
        except Exception:
            _log.exception("a monitor met an unforeseen error, and goes on")

    def _recover(self, post: _Post, holder: str | None = None) -> int:
        recovered = 0
        while claims := self._reclaim(post, holder):
            decided: list[tuple[Hold, Outcome]] = [(claim.hold, self._decide(post, claim)) for claim in claims]
            answers = post.backend.settle(post.name, decided, post.keep)
            self._tell(post, claims, [outcome for _, outcome in decided], answers)
            recovered += answers.count(Answer.DONE)
            if len(claims) < _BATCH:
                break
        return recovered

    def _reclaim(self, post: _Post, of: str | None) -> list[Claim]:
        post.call = post.call or os.urandom(16)  # if no answer comes, the same call is repeated
        claims = post.backend.reclaim(
            post.name, _BATCH, round(self._lease * 1_000_000), self._holder, post.call, of
        )
        post.call = None
        return claims

    def _decide(self, post: _Post, claim: Claim) -> Outcome:
        """What becomes of a job whose holder is gone."""
        over = (claim.lease_until - round(self._lease * 1_000_000) - (claim.lapsed_at or 0)) / 1_000_000
        if over > self._abandon_after:
            return Fail(State.FAILED, f"abandoned: its lease ended {over:.0f} s before anybody looked")
        if claim.lost >= post.max_lost(claim.payload):
            return Fail(State.FAILED, f"lost {claim.lost} times")
        return Return()

    def _tell(self, post: _Post, claims: list[Claim], outcomes: list[Outcome], answers: list[Answer]) -> None:
        at = time()
        events = []
        for claim, outcome, answer in zip(claims, outcomes, answers, strict=True):
            if answer is Answer.DONE:
                kind, reason = (
                    (Kind.FAILED, outcome.reason) if isinstance(outcome, Fail) else (Kind.RECOVERED, "its lease ended")
                )
                name = post.name_of(claim.payload)
                events.append(Event(kind, post.name, claim.id, name, at, claim.attempt, claim.lost, reason=reason))
        self._teller.tell(events)


class _Post:
    """One queue that a monitor looks after."""

    def __init__(self, queue: Queue[Any], binding: Binding, *, heal: bool) -> None:
        self.name = queue.name
        self.keep = queue.keep
        self.call: bytes | None = None
        self._registry = queue.registry
        self._policy = queue.policy
        self._binding = binding
        self._heals = heal
        self._heal_at = 0.0
        self._after: str | None = None
        self._tried: set[tuple[str, int]] = set()

    @property
    def backend(self) -> Backend:
        return self._binding.backend

    def max_lost(self, payload: bytes) -> int:
        try:
            return self._registry.open(payload)[0].policy.max_lost
        except Undecodable:
            return self._policy.max_lost

    def name_of(self, payload: bytes) -> str | None:
        try:
            return self._registry.open(payload)[0].name
        except Undecodable:
            return None

    def heal(self, teller: Teller) -> int:
        """Redrive broken jobs that can be decoded now; a payload is tried once in this process's life."""
        if not self._heals or monotonic() < self._heal_at:
            return 0
        page = self.backend.peek(self.name, State.BROKEN, HEAL_JOBS, self._after)
        self._after = page.next
        self._heal_at = monotonic() + HEAL_SECONDS * random.uniform(0.9, 1.1)  # noqa: S311 -- spreads load
        fresh = [entry for entry in page.entries if (entry.id, hash(entry.payload)) not in self._tried]
        self._tried.update((entry.id, hash(entry.payload)) for entry in fresh)
        sound = [entry.id for entry in fresh if self._decodes(entry.payload)]
        answers = self.backend.redrive(self.name, sound) if sound else []
        healed = [id for id, answer in zip(sound, answers, strict=True) if answer is Answer.DONE]
        teller.tell([Event(Kind.HEALED, self.name, id, at=time(), reason="it can be decoded now") for id in healed])
        return len(healed)

    def _decodes(self, payload: bytes) -> bool:
        try:
            type, args = self._registry.open(payload)
            type.decode(args)
        except Undecodable:
            return False
        return True


def new_holder() -> str:
    """A text that no other start of a process has: host, pid and eight random digits."""
    return f"{socket.gethostname()[:100]}:{os.getpid()}:{secrets.token_hex(4)}"
