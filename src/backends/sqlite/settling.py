"""Settle: what becomes of a job when its run ends."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Final

from jobcore.backend import Answer, Fail, Hold, Keep, Outcome, Retry, Return, State, Succeed
from jobcore.backends.sqlite.moving import remember
from jobcore.backends.sqlite.scripts import script
from jobcore.backends.sqlite.transaction import Transaction

_DROP: Final = script("settle_drop")
_FINISH: Final = script("settle_finish")
_RETRY: Final = script("settle_retry")
_RETURN: Final = script("settle_return")
_TRIM: Final = script("settle_trim")


def settle(tx: Transaction, settlements: Sequence[tuple[Hold, Outcome]], keep: Keep) -> list[Answer]:
    """End runs as their outcomes say, and keep no more than `keep` of what was finished."""
    if len({hold.id for hold, _ in settlements}) < len(settlements):  # a job twice: what comes first moves it
        return [answer for each in settlements for answer in settle(tx, [each], keep)]
    leaving: list[Hold] = []
    staying: list[tuple[Hold, Outcome]] = []
    for hold, outcome in settlements:
        if keep.succeeded == 0 and isinstance(outcome, Succeed):
            leaving.append(hold)
        else:
            staying.append((hold, outcome))
    done = _drop(tx, leaving) | {hold.id for hold, outcome in staying if _settle(tx, hold, outcome)}
    _trim(tx, [outcome for hold, outcome in settlements if hold.id in done], keep)
    return [Answer.DONE if hold.id in done else Answer.LOST for hold, _ in settlements]


def _drop(tx: Transaction, holds: Iterable[Hold]) -> set[str]:
    """Let jobs that succeeded leave the store, those of a call in one statement: this is what most jobs come to.

    Returns:
        The ids of those whose tokens were current.
    """
    by_call: dict[bytes, dict[str, int]] = {}
    for hold in holds:
        by_call.setdefault(hold.call, {})[hold.id] = hold.fence
    return {id for call, fences in by_call.items() for id in _drop_of(tx, call, fences)}


def _drop_of(tx: Transaction, call: bytes, fences: dict[str, int]) -> Iterator[str]:
    for id, seconds in tx.run(_DROP, call=call, fences=json.dumps(fences)).fetchall():
        remember(tx, id, seconds)
        yield id


def _settle(tx: Transaction, hold: Hold, outcome: Outcome) -> bool:
    """Whether the token was current, and the job has moved."""
    token = {"id": hold.id, "call": hold.call, "fence": hold.fence}
    match outcome:
        case Succeed(value):
            return _moved(tx.run(_FINISH, **token, state=State.SUCCEEDED, reason=None, value=value))
        case Fail(state, reason):
            return _moved(tx.run(_FINISH, **token, state=state, reason=reason, value=None))
        case Retry(delay, reason):
            return _moved(tx.run(_RETRY, **token, place=tx.now + delay, reason=reason))
        case Return():
            return _moved(tx.run(_RETURN, **token))


def _moved(cursor: Any) -> bool:
    return bool(cursor.rowcount)


def _trim(tx: Transaction, outcomes: Collection[Outcome], keep: Keep) -> None:
    """Hold the caps of the states that jobs were put into."""
    if any(isinstance(outcome, Succeed) for outcome in outcomes):
        _trim_to(tx, keep.succeeded, State.SUCCEEDED, State.SUCCEEDED)
    if any(isinstance(outcome, Fail) and outcome.state is not State.BROKEN for outcome in outcomes):
        _trim_to(tx, keep.failed, State.FAILED, State.TIMED_OUT)


def _trim_to(tx: Transaction, cap: int, state: State, other: State) -> None:
    for id, seconds in tx.run(_TRIM, state=state, other=other, cap=cap).fetchall():
        remember(tx, id, seconds)
