"""Where a client's last claims left off, so that the next begins there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from msgspec import Struct

_SLACK: Final = 100_000
"""Marks stay this far (µs) behind the clock, so that a push committed a moment late is not passed over."""

_WINDOW: Final = 2_000_000
_NEVER: Final = -(2**60)
_END: Final = 101


class Marks(Struct, frozen=True):
    """What one client knows of a queue's ready jobs.

    Entries of jobs long taken stay in the index, before the first ready one, until vacuum may remove them. While
    some old snapshot is open that is never, and a claim that begins at the beginning steps over them all.

    Attributes:
        looked: when everything was last looked at (µs by the store).
        seen: the number of the last journalled return that is accounted for.
        lows: by rank, the (place, seq) below which nothing ready was left.
    """

    looked: int = _NEVER
    seen: int = 0
    lows: dict[int, tuple[int, int]] = {}

    def usable(self, now: int) -> bool:
        """Whether a claim at that time goes by these, as claim.sql decides it."""
        return 0 <= now - self.looked <= _WINDOW

    def parameters(self) -> dict[str, Any]:
        """These as claim.sql takes them."""
        places, seqs = [place for place, _ in self.lows.values()], [seq for _, seq in self.lows.values()]
        return {"looked": self.looked, "seen": self.seen, "ranks": [*self.lows], "places": places, "seqs": seqs}

    def lowered(self, seen: int, returned: Iterable[tuple[int, int]]) -> Marks:
        """These, after jobs went back to an old (rank, place)."""
        lows = dict(self.lows)
        for rank, place in returned:
            lows[rank] = min((place, 0), lows.get(rank, (place, 0)))
        return Marks(self.looked, max(seen, self.seen), lows)

    def raised(self, now: int, rank: int, place: int, seq: int) -> Marks:
        """These, after a claim that was filled at a job of this key."""
        looked = self.looked if self.usable(now) else now
        return Marks(looked, self.seen, self._passed(now, rank) | {rank: min((place, seq), (now - _SLACK, 0))})

    def emptied(self, now: int) -> Marks:
        """These, after a look at everything that left nothing due: the next claim looks at everything again."""
        return Marks(_NEVER, self.seen, self._passed(now, _END))

    def whole(self) -> Marks:
        """These, for a claim that looks at everything."""
        return Marks(_NEVER, self.seen, self.lows)

    def _passed(self, now: int, rank: int) -> dict[int, tuple[int, int]]:
        return {known: (now - _SLACK, 0) if known < rank else low for known, low in self.lows.items()}
