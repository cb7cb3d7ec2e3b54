"""Peek, get and counts: what can be seen of a queue."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from itertools import islice
from typing import Final

from jobcore.backend import Counts, Entry, InvalidArgument, Page, State
from jobcore.backends.sqlite.order import LAST, Key, ready, scheduled
from jobcore.backends.sqlite.scripts import script
from jobcore.backends.sqlite.transaction import Transaction

_RUNNING: Final = script("peek_running")
_FINISHED: Final = script("peek_finished")
_FIND: Final = script("find")
_GET: Final = script("get")
_COUNTS: Final = script("counts")

_Place = tuple[int, ...]
"""Where in a listing a job stands; its last number is the job's n."""


def peek(tx: Transaction, state: State, limit: int, after: str | None) -> Page:
    """A page of a state's listing. The cursor is where its last job stands."""
    width = {State.READY: 3, State.SCHEDULED: 3, State.RUNNING: 2}.get(state, 1)
    with closing(_listing(tx, state, _parse(after, width))) as places:
        found = list(islice(places, limit + 1))
    entries = [_entry(tx, place[-1]) for place in found[:limit]]
    return Page(entries, ",".join(map(str, found[limit - 1])) if len(found) > limit else None)


def get(tx: Transaction, ids: Sequence[str]) -> list[Entry | None]:
    """What is known of each id."""
    found = [tx.run(_FIND, id=id).fetchone() for id in ids]
    return [_entry(tx, row[0]) if row else None for row in found]


def counts(tx: Transaction) -> Counts:
    """How many jobs are in each state."""
    return Counts(*tx.run(_COUNTS).fetchone())


def _entry(tx: Transaction, n: int) -> Entry:
    id, state, *rest = tx.run(_GET, n=n).fetchone()
    return Entry(id, State(state), *rest)


def _listing(tx: Transaction, state: State, after: _Place | None) -> Generator[_Place, None, None]:
    match state:
        case State.READY | State.SCHEDULED:
            yield from (ready if state is State.READY else scheduled)(tx, Key(*after) if after else None)
        case State.RUNNING:
            started_at, n = after or (-1, 0)
            yield from tx.run(_RUNNING, started_at=started_at, n=n)
        case _:
            (n,) = after or (LAST,)
            yield from tx.run(_FINISHED, state=state, n=n)


def _parse(cursor: str | None, width: int) -> _Place | None:
    """The numbers of a cursor.

    Raises:
        InvalidArgument: it is none of a listing of that width.
    """
    if cursor is None:
        return None
    try:
        place = tuple(map(int, cursor.split(",")))
    except ValueError:
        place = ()
    if len(place) != width or not all(abs(number) <= LAST for number in place):
        raise InvalidArgument(f"{cursor!r} is no cursor of this listing")
    return place
