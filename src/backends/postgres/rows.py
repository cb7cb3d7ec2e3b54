"""Between the protocol's values and the parameters and rows of statements."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter, itemgetter
from typing import Any, Final, TypeAlias, TypeVar

from jobcore.backend import Claim, Entry, Fail, Hold, Keep, Outcome, Push, Retry, Return, State, Succeed

Row: TypeAlias = tuple[Any, ...]
Parameters: TypeAlias = dict[str, Any]
T = TypeVar("T")

ENTRY_COLUMNS: Final = 14
"""How many columns an entry has; in a listing its key follows."""

_ORDER: Final = itemgetter(0, 1, 2)
_ID: Final = attrgetter("id")
_LONGEST: Final = 2**32
"""Seconds that an id is remembered at the most: over a century, and no overflow when counted in microseconds."""


def push_row(push: Push) -> Parameters:
    """The parameters of push_one.sql."""
    return {
        "id": push.id,
        "priority": push.priority,
        "delay": push.delay,
        "run_at": push.run_at,
        "remember": min(push.remember, _LONGEST),
        "payload": push.payload,
    }


def push_arrays(pushes: Sequence[Push]) -> Parameters:
    """The arrays of push.sql: the first push of each id, by id."""
    first = first_positions([push.id for push in pushes])
    positions = [first[id] for id in sorted(first)]
    batch = [pushes[at] for at in positions]
    remembers = _said(min(push.remember, _LONGEST) for push in batch)
    return {**new_arrays(batch), "positions": positions, "remembers": remembers}


def new_arrays(pushes: Sequence[Push]) -> Parameters:
    """The arrays of push_new.sql."""
    return {
        "ids": [push.id for push in pushes],
        "priorities": _said(push.priority for push in pushes),
        "delays": _said(push.delay for push in pushes),
        "run_ats": _said(push.run_at for push in pushes),
        "payloads": [push.payload for push in pushes],
    }


def _said(values: Iterable[int | None]) -> list[int | None]:
    """These, or none of them if none says anything: to send a thousand zeros costs as much as to send the ids."""
    listed = [*values]
    return listed if any(listed) else []


def first_positions(items: Sequence[T]) -> dict[T, int]:
    """Where each item stands first."""
    return {item: at for at, item in reversed([*enumerate(items)])}


def hold_arrays(first: dict[Hold, int]) -> Parameters:
    """The arrays for some holds, each with its position, by id."""
    batch = sorted(first, key=_ID)
    return {
        "ids": [hold.id for hold in batch],
        "calls": [hold.call for hold in batch],
        "fences": [hold.fence for hold in batch],
        "positions": [first[hold] for hold in batch],
    }


def settle_arrays(first: dict[Hold, int], settlements: Sequence[tuple[Hold, Outcome]], keep: Keep) -> Parameters:
    """The arrays of settle.sql for the settlements at some positions, by id."""
    holds = hold_arrays(first)
    outcomes = [settlements[at][1] for at in holds["positions"]]
    return {
        **holds,
        "moves": [move(outcome) for outcome in outcomes],
        "kepts": [_kept(outcome, keep) for outcome in outcomes],
        "delays": [getattr(outcome, "delay", 0) for outcome in outcomes],
        "reasons": [getattr(outcome, "reason", None) for outcome in outcomes],
        "values": [getattr(outcome, "value", None) for outcome in outcomes],
    }


def move(outcome: Outcome) -> str:
    """The word of settle.sql for what an outcome asks."""
    match outcome:
        case Succeed():
            return "succeeded"
        case Fail(state=state):
            return state.value
        case Retry():
            return "retry"
        case Return():
            return "return"


def _kept(outcome: Outcome, keep: Keep) -> bool:
    match outcome:
        case Succeed():
            return keep.succeeded > 0
        case Fail(state=State.FAILED | State.TIMED_OUT):
            return keep.failed > 0
        case _:
            return True


def claims(rows: Iterable[Row]) -> list[Claim]:
    """Claims from rows that begin with the order they stand in: the key for claim, the lapsed lease for reclaim."""
    return [Claim(*row[3:]) for row in sorted(rows, key=_ORDER)]


def entry(row: Row) -> Entry:
    """The entry that a row begins with."""
    id, state, *rest = row[:ENTRY_COLUMNS]
    return Entry(id, State(state), *rest)
