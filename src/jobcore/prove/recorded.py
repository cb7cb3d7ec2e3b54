"""A backend whose calls are written to a journal: what was sent before it is sent, what came back as it does."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

from jobcore.backend import (
    Answer,
    Backend,
    Claim,
    Claimed,
    Fail,
    Hold,
    Keep,
    Outcome,
    Push,
    Pushed,
    Refused,
    Succeed,
    Unavailable,
    Wakes,
)
from jobcore.prove.journal import Answered, Dropped, Extended, Journal, PushSent, SettleSent, Took, now

T = TypeVar("T")


def recorded(inner: Backend, journal: Journal) -> Backend:
    """A backend that does what `inner` does, on the record; it wakes its users if `inner` does."""
    kind = _WakingRecorded if isinstance(inner, Wakes) else _Recorded
    made: Backend = kind(inner, journal)
    return made


class _Recorded:
    """What changes nothing that the checker asks about goes straight to `inner`."""

    def __init__(self, inner: Any, journal: Journal) -> None:
        self._inner = inner
        self._journal = journal
        self._sent: dict[bytes, int] = {}  # claims without an answer, by when each was first sent

    def __getattr__(self, verb: str) -> Any:
        return getattr(self._inner, verb)

    def push(self, queue: str, pushes: Sequence[Push]) -> list[Pushed]:
        call = self._journal.new_call()
        self._journal.write(PushSent(call, now(), [(push.id, push.remember > 0) for push in pushes]))
        answers: list[Pushed] = self._ask(call, lambda: self._inner.push(queue, pushes))
        self._journal.write(Answered(call, now(), []))
        return answers

    def settle(self, queue: str, settlements: Sequence[tuple[Hold, Outcome]], keep: Keep) -> list[Answer]:
        call = self._journal.new_call()
        tokens = [(hold.id, hold.fence, isinstance(outcome, Succeed | Fail)) for hold, outcome in settlements]
        self._journal.write(SettleSent(call, now(), tokens))
        answers: list[Answer] = self._ask(call, lambda: self._inner.settle(queue, settlements, keep))
        self._journal.write(Answered(call, now(), answers))
        return answers

    def _ask(self, call: int, verb: Callable[[], T]) -> T:
        """Send what was announced; if anything else than these two is raised, it may have been carried out."""
        try:
            return verb()
        except (Unavailable, Refused):
            self._journal.write(Dropped(call))
            raise

    def claim(self, queue: str, limit: int, lease: int, holder: str, call: bytes, max_bytes: int) -> Claimed:
        sent = self._sent.setdefault(call, now())
        claimed: Claimed = self._inner.claim(queue, limit, lease, holder, call, max_bytes)
        self._took(call, sent + lease, claimed.claims, reclaimed=False)
        return claimed

    def reclaim(
        self, queue: str, limit: int, lease: int, holder: str, call: bytes, of: str | None = None
    ) -> list[Claim]:
        sent = self._sent.setdefault(call, now())
        claims: list[Claim] = self._inner.reclaim(queue, limit, lease, holder, call, of)
        self._took(call, sent + lease, claims, reclaimed=True)
        return claims

    def _took(self, call: bytes, until: int, claims: Sequence[Claim], *, reclaimed: bool) -> None:
        sent = self._sent.pop(call)
        if claims:
            tokens = [(claim.id, claim.fence, claim.lost) for claim in claims]
            self._journal.write(Took(sent, now(), until, reclaimed, tokens))

    def extend(self, queue: str, holds: Sequence[Hold], lease: int) -> list[Answer]:
        sent = now()
        answers: list[Answer] = self._inner.extend(queue, holds, lease)
        held = [hold for hold, answer in zip(holds, answers, strict=True) if answer is Answer.HELD]
        self._journal.write(Extended(sent, sent + lease, [(hold.id, hold.fence) for hold in held]))
        return answers


class _WakingRecorded(_Recorded):
    """The same for a store that wakes."""

    def wait(self, queues: Collection[str], timeout: float) -> set[str]:
        woken: set[str] = self._inner.wait(queues, timeout)
        return woken
