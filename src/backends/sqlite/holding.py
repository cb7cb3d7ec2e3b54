"""Claim, reclaim and extend: who holds a job, and until when."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import closing
from itertools import islice
from typing import Final

from jobcore.backend import Answer, Claim, Claimed, Hold
from jobcore.backends.sqlite.order import claimable, first_place
from jobcore.backends.sqlite.scripts import script
from jobcore.backends.sqlite.transaction import Transaction

_CLAIM: Final = script("claim")
_RECLAIM: Final = script("reclaim")
_EXTEND: Final = script("extend")
_HELD: Final = script("held")
_LAPSED: Final = script("lapsed")


def look(tx: Transaction, limit: int, call: bytes) -> Claimed | None:
    """The answer to a claim that changes nothing: a repeat, or one that finds nothing due; None for any other."""
    if claims := _held(tx, call):
        return Claimed(claims, tx.now, tx.now)
    if limit == 0:
        return Claimed([], tx.now, tx.now)
    first = first_place(tx)
    return Claimed([], tx.now, first) if first is None or first > tx.now else None


def claim(tx: Transaction, limit: int, lease: int, holder: str, call: bytes, max_bytes: int) -> Claimed:
    """Give due jobs to `holder`, or again those that `call` holds."""
    if claims := _held(tx, call):
        return Claimed(claims, tx.now, tx.now)
    with closing(claimable(tx, call, lease)) as jobs:
        chosen, stopped = _chosen(jobs, limit, max_bytes)
    tx.run(_CLAIM, chosen=json.dumps([*chosen]), lease=lease, holder=holder, call=call)
    return Claimed([*chosen.values()], tx.now, tx.now if stopped else first_place(tx))


def may_reclaim(tx: Transaction, limit: int, call: bytes, of: str | None) -> bool:
    """Whether a reclaim would give anything."""
    return bool(_held(tx, call) or _lapsed(tx, limit, of))


def reclaim(tx: Transaction, limit: int, lease: int, holder: str, call: bytes, of: str | None) -> list[Claim]:
    """Give running jobs whose holder is lost to another, or again those that `call` holds."""
    if claims := _held(tx, call):
        return claims
    tx.run(_RECLAIM, chosen=json.dumps(_lapsed(tx, limit, of)), lease=lease, holder=holder, call=call)
    return _held(tx, call)


def extend(tx: Transaction, holds: Sequence[Hold], lease: int) -> list[Answer]:
    """Move the ends of leases."""
    return [Answer.HELD if _extended(tx, hold, lease) else Answer.LOST for hold in holds]


def _extended(tx: Transaction, hold: Hold, lease: int) -> bool:
    changed = tx.run(_EXTEND, id=hold.id, call=hold.call, fence=hold.fence, lease=lease)
    return bool(changed.rowcount)


def _chosen(jobs: Iterable[tuple[int, Claim]], limit: int, max_bytes: int) -> tuple[dict[int, Claim], bool]:
    """The jobs to claim, by their n, and whether `limit` or `max_bytes` ended the choice."""
    chosen: dict[int, Claim] = {}
    for n, claim in islice(jobs, limit):
        max_bytes -= len(claim.payload)
        if chosen and max_bytes < 0:
            return chosen, True
        chosen[n] = claim
    return chosen, len(chosen) == limit


def _held(tx: Transaction, call: bytes) -> list[Claim]:
    return [Claim(*row) for row in tx.run(_HELD, call=call)]


def _lapsed(tx: Transaction, limit: int, of: str | None) -> list[int]:
    return [n for (n,) in tx.run(_LAPSED, limit=limit, of=of)]
