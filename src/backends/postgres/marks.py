"""Where a client's last claims left off, so that the next begins there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

Place: TypeAlias = tuple[int, int]
"""A (place, seq): where a job stands among those of its rank."""

_SLACK: Final = 100_000
"""Marks stay this far (µs) behind the clock, so that a push committed a moment late is not passed over."""

_WINDOW: Final = 2_000_000
_SWEEP: Final = 300_000_000
"""Half of what the journal of returns spans."""
_NEVER: Final = -(2**60)
_START: Final = (0, 0)
END: Final = (101, 0, 0)
"""A key after all others."""


class Marks(Struct, frozen=True):
    """What one client knows of a queue's ready jobs.

    Entries of jobs long taken stay in the index, before the first ready one, until vacuum may remove them. While
    some old snapshot is open that is never, and a claim that begins at the beginning steps over them all.

    So a claim begins at `lows`. What a transaction that is open now has pushed, or has locked and will not take after
    all, may still appear below. Hence every two seconds, and whenever it found too little, a claim *looks*: it begins
    at the `base`, where the lows stood before any transaction began that was open at the last look. And every five
    minutes one looks at everything, so that no mistake lasts longer.

    Attributes:
        swept: when everything was last looked at (µs by the store).
        looked: when the last look was that was filled.
        seen: the number of the last journalled return that is accounted for.
        lows: by rank, below what nothing ready was left.
        base: by rank, below what nothing ready will appear, but for what is journalled.
        coming: the transaction of some look, and what the lows were then: they are the base as soon as all transactions
            before it have ended, and another look has found what these left.
    """

    swept: int = _NEVER
    looked: int = _NEVER
    seen: int = 0
    lows: dict[int, Place] = {}
    base: dict[int, Place] = {}
    coming: tuple[int, dict[int, Place]] = (0, {})

    def usable(self, now: int) -> bool:
        """Whether a claim at that time begins at the lows, as claim.sql decides it."""
        return 0 <= now - self.looked <= _WINDOW and self._sound(now)

    def parameters(self) -> dict[str, Any]:
        """These as claim.sql takes them."""
        base = [self.base.get(rank, _START) for rank in self.lows]
        return {
            "swept": self.swept,
            "looked": self.looked,
            "seen": self.seen,
            "ranks": [*self.lows],
            "places": [place for place, _ in self.lows.values()],
            "seqs": [seq for _, seq in self.lows.values()],
            "base_places": [place for place, _ in base],
            "base_seqs": [seq for _, seq in base],
        }

    def to_look(self) -> Marks:
        """These, for a claim that looks."""
        return replace(self, looked=_NEVER)

    def looking(self, now: int) -> Marks:
        """These as a look at that time goes by them: it begins at the base, or at the beginning."""
        sound = self._sound(now)
        base = self.base if sound else {}
        lows = {rank: base.get(rank, _START) for rank in self.lows}
        return replace(self, swept=self.swept if sound else now, looked=now, lows=lows, base=base)

    def lowered(self, seen: int, returned: Iterable[tuple[int, int]]) -> Marks:
        """These, after jobs went back to an old (rank, place)."""
        back: dict[int, Place] = {}
        for rank, place in returned:
            back[rank] = min((place, 0), back.get(rank, (place, 0)))
        return replace(
            self,
            seen=max(seen, self.seen),
            lows=back | _least(self.lows, back),
            base=_least(self.base, back),
            coming=(self.coming[0], _least(self.coming[1], back)),
        )

    def passed(self, now: int, last: tuple[int, int, int]) -> Marks:
        """These, after a claim that left nothing due up to a (rank, place, seq); if to the end, the next one looks."""
        rank, place, seq = last
        behind = (now - _SLACK, 0)
        lows = {known: behind if known < rank else low for known, low in self.lows.items()}
        if last == END:
            return replace(self, looked=_NEVER, lows=lows)
        return replace(self, lows=lows | {rank: min((place, seq), behind)})

    def based(self, oldest: int, own: int | None) -> Marks:
        """These, after a look in the transaction `own` (None: it took nothing), while `oldest` was the oldest open."""
        awaited, lows = self.coming
        if own is None or oldest < awaited:
            return self
        return replace(self, base=_least(lows, self.lows), coming=(own, self.lows))

    def _sound(self, now: int) -> bool:
        """Whether a look at that time begins at the base."""
        return 0 <= now - self.swept <= _SWEEP


def _least(places: dict[int, Place], others: dict[int, Place]) -> dict[int, Place]:
    """The lesser of the two, for each rank of the first."""
    return {rank: min(place, others.get(rank, place)) for rank, place in places.items()}
