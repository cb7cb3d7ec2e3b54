"""Listings by pages: which statement lists a state, and what its cursors are."""

from __future__ import annotations

import re
from typing import Final

from jobcore.backend import InvalidArgument, Page, State
from jobcore.backends.postgres.database import Database
from jobcore.backends.postgres.rows import ENTRY_COLUMNS, Parameters, entry

_NUMBER: Final = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_FIRST: Final = -(2**63)
_LAST: Final = 2**63 - 1


def peek(database: Database, queue: str, state: State, limit: int, after: str | None) -> Page:
    """A page of a state. The cursor is the key of its last entry."""
    found = database.run(*asked(queue, state, limit, after))
    more = len(found) > limit
    cursor = ",".join(map(str, found[limit - 1][ENTRY_COLUMNS:])) if more else None
    return Page([entry(row) for row in found[:limit]], cursor)


def asked(queue: str, state: State, limit: int, after: str | None) -> tuple[str, Parameters]:
    """The stem and the parameters of the statement that gives a page, and one entry more if there is one."""
    stem, start, rest = _listing(state)
    key = start if after is None else _parse(after, start)
    return stem, {"queue": queue, "jobs": limit + 1, **rest, **key}


def _listing(state: State) -> tuple[str, dict[str, int], Parameters]:
    """The statement, the key that is before all others, and what else it asks for."""
    match state:
        case State.READY | State.SCHEDULED:
            key = {"rank": _FIRST, "place": _FIRST, "seq": _FIRST}
            return "peek_waiting", key, {"due": state is State.READY}
        case State.RUNNING:
            return "peek_running", {"started_at": _FIRST, "seq": _FIRST}, {}
        case _:
            return "peek_settled", {"settled": _LAST}, {"state": state.value}


def _parse(cursor: str, start: dict[str, int]) -> dict[str, int]:
    parts = cursor.split(",")
    if len(parts) != len(start) or not all(_NUMBER.fullmatch(part) for part in parts):
        raise InvalidArgument(f"{cursor!r} is no cursor of a listing")
    return dict(zip(start, map(int, parts), strict=True))
