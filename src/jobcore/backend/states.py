"""The states of a job and the moves between them: the one table that the rest cites."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple


class State(StrEnum):
    """Where a job is.

    SCHEDULED is a view: it is stored as READY, at a place that lies in the future. `peek` and
    `counts` keep the two apart; nothing is ever promoted from one to the other.
    """

    READY = "ready"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    BROKEN = "broken"


FINISHED: Final = frozenset({State.SUCCEEDED, State.FAILED, State.TIMED_OUT, State.BROKEN})
"""The states that a settlement ends in."""

REDRIVABLE: Final = frozenset({State.FAILED, State.TIMED_OUT, State.BROKEN})
"""The states that `redrive` takes a job out of."""


class Move(NamedTuple):
    """One row of the state table. `None` stands for "not in the store"."""

    verb: str
    outcome: str
    before: frozenset[State | None]
    after: State | None
    effect: str


_NEW: Final[frozenset[State | None]] = frozenset({None})
_RUNNING: Final[frozenset[State | None]] = frozenset({State.RUNNING})
_ALL: Final[frozenset[State | None]] = frozenset(State)

MOVES: Final = (
    Move("push", "", _NEW, State.READY, "place = max(now + delay, run_at); attempt and lost 0"),
    Move("claim", "", frozenset({State.READY}), State.RUNNING, "attempt + 1, a token, a lease"),
    Move("settle", "Succeed", _RUNNING, State.SUCCEEDED, "kept up to keep.succeeded, else gone"),
    Move("settle", "Retry", _RUNNING, State.READY, "a new place: now + delay"),
    Move("settle", "Fail(FAILED)", _RUNNING, State.FAILED, "the newest keep.failed, with TIMED_OUT"),
    Move("settle", "Fail(TIMED_OUT)", _RUNNING, State.TIMED_OUT, "the newest keep.failed, with FAILED"),
    Move("settle", "Fail(BROKEN)", _RUNNING, State.BROKEN, "bytes kept exactly, never trimmed"),
    Move("settle", "Return", _RUNNING, State.READY, "its old place; the attempt not counted"),
    Move("extend", "", _RUNNING, State.RUNNING, "the lease ends at now + lease"),
    Move("reclaim", "", _RUNNING, State.RUNNING, "a new token for the monitor; lost + 1"),
    Move("redrive", "", frozenset(REDRIVABLE), State.READY, "a new place: now; attempt and lost 0"),
    Move("remove", "", _ALL - _RUNNING, None, "an id that the user chose is remembered"),
    Move("destroy", "", _ALL, None, "the whole queue at once; remembered ids too"),
)
