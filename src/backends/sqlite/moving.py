"""Push, settle, redrive, remove and destroy: how jobs come, move on and go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from jobcore.backend import Answer, Fail, Hold, Keep, Outcome, Push, Pushed, Retry, Return, State, Succeed
from jobcore.backends.sqlite.order import LAST
from jobcore.backends.sqlite.scripts import script
from jobcore.backends.sqlite.transaction import Transaction

_PUSH: Final = script("push")
_KNOWN: Final = script("push_known")
_FORGET: Final = script("push_forget")
_DROP: Final = script("settle_drop")
_FINISH: Final = script("settle_finish")
_RETRY: Final = script("settle_retry")
_RETURN: Final = script("settle_return")
_TRIM: Final = script("settle_trim")
_REDRIVE: Final = script("redrive")
_REMOVE: Final = script("remove")
_REMEMBER: Final = script("remember")
_FIND: Final = script("find")
_DESTROY: Final = script("destroy")
_DESTROY_REMEMBERED: Final = script("destroy_remembered")

_SECOND: Final = 1_000_000


def push(tx: Transaction, pushes: Sequence[Push]) -> list[Pushed]:
    """Store jobs whose ids are not known."""
    tx.run(_FORGET, jobs=len(pushes))
    return [_push(tx, push) for push in pushes]


def settle(tx: Transaction, settlements: Sequence[tuple[Hold, Outcome]], keep: Keep) -> list[Answer]:
    """End runs as their outcomes say, and keep no more than `keep` of what was finished."""
    moved = [_settle(tx, hold, outcome, keep) for hold, outcome in settlements]
    finished = {
        type(outcome) for done, (_, outcome) in zip(moved, settlements, strict=True) if done and _capped(outcome)
    }
    if Succeed in finished:
        _trim(tx, State.SUCCEEDED, State.SUCCEEDED, keep.succeeded)
    if Fail in finished:
        _trim(tx, State.FAILED, State.TIMED_OUT, keep.failed)
    return [Answer.DONE if done else Answer.LOST for done in moved]


def redrive(tx: Transaction, ids: Sequence[str]) -> list[Answer]:
    """Make failed jobs wait again."""
    return [Answer.DONE if tx.run(_REDRIVE, id=id).rowcount else _unmoved(tx, id) for id in ids]


def remove(tx: Transaction, ids: Sequence[str]) -> list[Answer]:
    """Take jobs that don't run out of the store."""
    return [Answer.DONE if _gone(tx, id, tx.run(_REMOVE, id=id)) else _unmoved(tx, id) for id in ids]


def destroy(tx: Transaction) -> None:
    """Remove all of the queue."""
    tx.run(_DESTROY)
    tx.run(_DESTROY_REMEMBERED)


def _push(tx: Transaction, push: Push) -> Pushed:
    place = max(tx.now + push.delay, push.run_at or 0)
    stored = tx.run(
        _PUSH, id=push.id, priority=push.priority, place=place, remember=push.remember, payload=push.payload
    )
    if stored.rowcount:
        return Pushed(push.id, created=True, state=_view(tx, State.READY, place))
    known = tx.run(_KNOWN, id=push.id).fetchone()
    return Pushed(push.id, created=False, state=_view(tx, State(known[0]), known[1]) if known else None)


def _view(tx: Transaction, state: State, place: int) -> State:
    return State.SCHEDULED if state is State.READY and place > tx.now else state


def _settle(tx: Transaction, hold: Hold, outcome: Outcome, keep: Keep) -> bool:
    """Whether the token was current, and the job has moved."""
    token = {"id": hold.id, "call": hold.call, "fence": hold.fence}
    match outcome:
        case Succeed() if keep.succeeded == 0:
            return _gone(tx, hold.id, tx.run(_DROP, **token))
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


def _gone(tx: Transaction, id: str, cursor: Any) -> bool:
    """Whether a job was deleted; its id is then remembered, if it is to be."""
    for (seconds,) in cursor.fetchall():
        _remember(tx, id, seconds)
        return True
    return False


def _remember(tx: Transaction, id: str, seconds: int) -> None:
    if seconds:
        tx.run(_REMEMBER, id=id, until=min(tx.now + seconds * _SECOND, LAST))


def _capped(outcome: Outcome) -> bool:
    """Whether it puts a job where a cap holds."""
    return isinstance(outcome, Succeed) or (isinstance(outcome, Fail) and outcome.state is not State.BROKEN)


def _trim(tx: Transaction, state: State, other: State, cap: int) -> None:
    for id, seconds in tx.run(_TRIM, state=state, other=other, cap=cap).fetchall():
        _remember(tx, id, seconds)


def _unmoved(tx: Transaction, id: str) -> Answer:
    """Why a job could not be moved."""
    return Answer.WRONG_STATE if tx.run(_FIND, id=id).fetchone() else Answer.MISSING
