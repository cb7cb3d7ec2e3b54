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
    firsts: dict[Hold, Outcome] = {}
    for hold, outcome in settlements:
        firsts.setdefault(hold, outcome)  # a token that has moved its job moves it no more
    unkept = {hold for hold, outcome in firsts.items() if isinstance(outcome, Succeed) and keep.succeeded == 0}
    done = _drop(tx, unkept)
    done |= {hold for hold, outcome in firsts.items() if hold not in unkept and _settle(tx, hold, outcome)}
    _trim(tx, [firsts[hold] for hold in done], keep)
    return [_answer(done, hold) for hold, _ in settlements]


def _answer(done: set[Hold], hold: Hold) -> Answer:
    """DONE once for each job that has moved."""
    if hold not in done:
        return Answer.LOST
    done.remove(hold)
    return Answer.DONE


def _drop(tx: Transaction, holds: Iterable[Hold]) -> set[Hold]:
    """Let jobs that succeeded leave the store, those of a call in one statement: this is what most jobs come to."""
    by_call: dict[bytes, list[Hold]] = {}
    for hold in holds:
        by_call.setdefault(hold.call, []).append(hold)
    return {hold for call, held in by_call.items() for hold in _drop_of(tx, call, held)}


def _drop_of(tx: Transaction, call: bytes, holds: Sequence[Hold]) -> Iterator[Hold]:
    """Let jobs of one call leave; gives the tokens that were current."""
    by_id = {hold.id: hold for hold in holds}
    fences = json.dumps({id: hold.fence for id, hold in by_id.items()})
    for id, seconds in tx.run(_DROP, call=call, fences=fences).fetchall():
        remember(tx, id, seconds)
        yield by_id[id]
    if len(by_id) < len(holds):  # of the fences of one id only one can be current
        yield from _drop_of(tx, call, [hold for hold in holds if by_id[hold.id] is not hold])


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
