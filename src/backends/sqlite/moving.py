"""Push, redrive, remove and destroy: how jobs come, come back and go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from jobcore.backend import Answer, Push, Pushed, State
from jobcore.backends.sqlite.order import LAST
from jobcore.backends.sqlite.scripts import script
from jobcore.backends.sqlite.transaction import Transaction

_PUSH: Final = script("push")
_KNOWN: Final = script("push_known")
_FORGET: Final = script("push_forget")
_REDRIVE: Final = script("redrive")
_REMOVE: Final = script("remove")
_REMEMBER: Final = script("remember")
_FIND: Final = script("find")
_DESTROY: Final = [script("destroy"), script("destroy_remembered"), script("destroy_finished")]

_SECOND: Final = 1_000_000


def push(tx: Transaction, pushes: Sequence[Push]) -> list[Pushed]:
    """Store jobs whose ids are not known."""
    tx.run(_FORGET, jobs=len(pushes))
    return [_push(tx, push) for push in pushes]


def redrive(tx: Transaction, ids: Sequence[str]) -> list[Answer]:
    """Make failed jobs wait again."""
    return [Answer.DONE if tx.run(_REDRIVE, id=id).rowcount else _unmoved(tx, id) for id in ids]


def remove(tx: Transaction, ids: Sequence[str]) -> list[Answer]:
    """Take jobs that don't run out of the store."""
    return [Answer.DONE if _remove(tx, id) else _unmoved(tx, id) for id in ids]


def destroy(tx: Transaction) -> None:
    """Remove all of the queue."""
    for statement in _DESTROY:
        tx.run(statement)


def remember(tx: Transaction, id: str, seconds: int) -> None:
    """Keep an id for so many seconds from now, if any; its job has left the store."""
    if seconds:
        tx.run(_REMEMBER, id=id, until=min(tx.now + seconds * _SECOND, LAST))


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


def _remove(tx: Transaction, id: str) -> bool:
    """Whether the job was there, and not running."""
    removed = tx.run(_REMOVE, id=id).fetchall()
    for (seconds,) in removed:
        remember(tx, id, seconds)
    return bool(removed)


def _unmoved(tx: Transaction, id: str) -> Answer:
    """Why a job could not be moved."""
    return Answer.WRONG_STATE if tx.run(_FIND, id=id).fetchone() else Answer.MISSING
