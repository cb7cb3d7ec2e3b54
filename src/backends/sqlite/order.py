"""The waiting jobs of a queue, read in the order of their key, one by one."""

from __future__ import annotations

from collections.abc import Generator
from typing import Final, NamedTuple

from jobcore.backend import MAX_PRIORITY, Claim
from jobcore.backends.sqlite.scripts import script
from jobcore.backends.sqlite.transaction import Transaction

_BANDS: Final = script("bands")
_WAITING: Final = script("waiting")
_DUE: Final = script("due")
_FIRST: Final = script("first")

LAST: Final = 2**63 - 1
"""No place, and no n, is greater."""


class Key(NamedTuple):
    """Where a waiting job stands in the order."""

    priority: int
    place: int
    n: int


def claimable(tx: Transaction, call: bytes, lease: int) -> Generator[tuple[int, Claim], None, None]:
    """The jobs that are due: of each its n, and the claim that it is once it is given to `call`."""
    until = tx.now + lease
    for band in _bands(tx):
        for n, id, fence, payload, priority, attempt, lost, pushed_at in tx.run(_DUE, priority=band):
            yield n, Claim(id, call, fence, payload, priority, attempt, lost, pushed_at, tx.now, until)


def ready(tx: Transaction, after: Key | None = None) -> Generator[Key, None, None]:
    """The jobs that are due; `after`: from behind this one on."""
    return _waiting(tx, (-1, 0), tx.now, after)


def scheduled(tx: Transaction, after: Key | None = None) -> Generator[Key, None, None]:
    """The jobs that are not due yet; `after`: from behind this one on."""
    return _waiting(tx, (tx.now, LAST), LAST, after)


def first_place(tx: Transaction) -> int | None:
    """When the first waiting job is or was due, over all priorities."""
    return min((tx.run(_FIRST, priority=band).fetchone()[0] for band in _bands(tx)), default=None)


def _waiting(tx: Transaction, begin: tuple[int, int], until: int, after: Key | None) -> Generator[Key, None, None]:
    for band in _bands(tx, after.priority if after else MAX_PRIORITY):
        place, n = max(begin, after[1:]) if after and band == after.priority else begin
        yield from map(Key._make, tx.run(_WAITING, priority=band, place=place, n=n, until=until))


def _bands(tx: Transaction, top: int = MAX_PRIORITY) -> Generator[int, None, None]:
    for (priority,) in tx.run(_BANDS, top=top):
        yield priority
