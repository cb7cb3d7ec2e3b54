"""The form of arguments: each driver calls these first, so that all refuse the same things alike."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from jobcore.backend.states import FINISHED, State
from jobcore.backend.values import Fail, Hold, Keep, Outcome, Push, Retry, Succeed
from jobcore.errors import InvalidArgument

MIN_PRIORITY: Final = -100
MAX_PRIORITY: Final = 100

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,200}", re.ASCII)
_SUCCEEDED: Final = Succeed()
_NOTHING: Final = 0
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
_TIME_LIMIT: Final = 2**53
"""Times and durations stay below 2**53 µs (the year 2255), which every store counts exactly."""


def check_queue(queue: object) -> None:
    """A queue's name: 1 to 200 of `A-Z a-z 0-9 . _ -`."""
    if not isinstance(queue, str) or not _NAME.fullmatch(queue):
        raise InvalidArgument(f"a queue's name is 1 to 200 of A-Z a-z 0-9 . _ -, not {queue!r}")


def check_id(id: Any) -> None:
    """A job's id or a holder: 1 to 200 bytes of UTF-8 without control characters."""
    if isinstance(id, str) and 0 < len(id) <= 200 and id.isascii() and id.isprintable():
        return  # nearly all ids, without a pattern: this stands on the hot path
    try:
        size = len(id.encode())
    except (UnicodeEncodeError, AttributeError):
        raise InvalidArgument(f"an id is text that UTF-8 can hold, not {id!r}") from None
    if not 1 <= size <= 200 or _CONTROL.search(id):
        raise InvalidArgument(f"an id is 1 to 200 bytes without control characters, not {id!r}")


def check_push(queue: str, pushes: Sequence[Push]) -> None:
    """The arguments of `push`."""
    check_queue(queue)
    for push in pushes:
        check_id(push.id)
        if not (push.priority is push.delay is push.remember is _NOTHING):  # as nearly all are
            _check_whole("priority", push.priority, MIN_PRIORITY, MAX_PRIORITY)
            _check_whole("delay, in microseconds,", push.delay)
            _check_whole("remember", push.remember)
        if not isinstance(push.payload, bytes):
            raise InvalidArgument(f"a payload is bytes, not {type(push.payload).__name__}")
        if push.run_at is not None:
            _check_whole("run_at, in microseconds,", push.run_at)
            if push.delay:
                raise InvalidArgument("delay and run_at exclude each other")


def check_claim(queue: str, limit: int, lease: int, holder: str, call: bytes, max_bytes: int) -> None:
    """The arguments of `claim`."""
    check_reclaim(queue, limit, lease, holder, call)
    _check_whole("max_bytes", max_bytes)


def check_reclaim(queue: str, limit: int, lease: int, holder: str, call: bytes, of: str | None = None) -> None:
    """The arguments of `reclaim`."""
    check_queue(queue)
    check_id(holder)
    _check_whole("limit", limit)
    _check_whole("lease, in microseconds,", lease, 1)
    _check_call(call)
    if of is not None:
        check_id(of)


def check_extend(queue: str, holds: Sequence[Hold], lease: int) -> None:
    """The arguments of `extend`."""
    check_queue(queue)
    _check_whole("lease, in microseconds,", lease, 1)
    for hold in holds:
        _check_hold(hold)


def check_settle(queue: str, settlements: Sequence[tuple[Hold, Outcome]], keep: Keep) -> None:
    """The arguments of `settle`."""
    check_queue(queue)
    _check_whole("keep.failed", keep.failed)
    _check_whole("keep.succeeded", keep.succeeded)
    for hold, outcome in settlements:
        _check_hold(hold)
        if outcome != _SUCCEEDED:  # as nearly all are, and patterns are slow
            _check_outcome(outcome)


def check_peek(queue: str, limit: int) -> None:
    """The arguments of `peek`."""
    check_queue(queue)
    _check_whole("limit", limit, 1)


def _check_hold(hold: Hold) -> None:
    check_id(hold.id)
    _check_call(hold.call)
    _check_whole("fence", hold.fence)


def _check_outcome(outcome: Outcome) -> None:
    match outcome:
        case Succeed(value=value) if value is not None and not isinstance(value, bytes):
            raise InvalidArgument(f"a value is bytes, not {type(value).__name__}")
        case Retry(delay=delay):
            _check_whole("delay, in microseconds,", delay)
        case Fail(state=state) if state not in FINISHED or state is State.SUCCEEDED:
            raise InvalidArgument(f"a job fails as FAILED, TIMED_OUT or BROKEN, not {state!r}")


def _check_call(call: object) -> None:
    if not isinstance(call, bytes) or len(call) != 16:
        raise InvalidArgument("a call is 16 bytes")


def _check_whole(what: str, value: int, low: int = 0, high: int = _TIME_LIMIT) -> None:
    if type(value) is not int or not low <= value <= high:
        raise InvalidArgument(f"{what} is a whole number from {low} to {high}, not {value!r}")
