"""What the scripts are given: values as they take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Raw, msgpack

from jobcore.backend import MAX_PRIORITY, Fail, Hold, InvalidArgument, Outcome, Push, Retry, Return, State, Succeed
from jobcore.backends.redis.replies import CODES

_BY_KEY: Final = frozenset({State.READY, State.SCHEDULED, State.RUNNING})

_LONGEST: Final = 2**32 - 1
"""Seconds, 136 years: what is to be remembered for longer is remembered for as long."""

encode: Final = msgpack.Encoder(enc_hook=str.__str__).encode  # for text of a class of its own
"""A batch as one word; Redis reads it with `cmsgpack`."""


def raw(data: bytes) -> Raw:
    """Bytes as msgpack's `str 32`, for Redis's cmsgpack knows no `bin`."""
    return Raw(b"\xdb" + len(data).to_bytes(4) + data)


def columns_of(pushes: Sequence[Push]) -> list[list[Any]]:
    """Jobs as `push.lua` takes them, which is given their payloads apart."""
    return [
        [push.id for push in pushes],
        [len(push.payload) for push in pushes],
        [MAX_PRIORITY - push.priority for push in pushes],
        [push.delay for push in pushes],
        [push.run_at or 0 for push in pushes],
        [min(push.remember, _LONGEST) for push in pushes],
    ]


def token(hold: Hold) -> Raw:
    """The token as it is stored; a fence that can't be one makes none."""
    return raw(hold.call + hold.fence.to_bytes(8)) if 0 <= hold.fence < 1 << 64 else raw(b"")


def words_of(outcome: Outcome) -> tuple[Any, ...]:
    """An outcome as `settle.lua` takes it."""
    match outcome:
        case Succeed(value=value):
            return ("s", value if value is None else raw(value))
        case Retry(delay=delay, reason=reason):
            return ("r", delay, reason)
        case Fail(state=state, reason=reason):
            return (CODES[state], reason)
        case Return():
            return ("q",)


def cursor(state: State, after: str | None) -> bytes:
    """Where a page begins: a number of the order of settling, else a key in hex."""
    if after is None:
        return b""
    try:
        return bytes.fromhex(after) if state in _BY_KEY else b"%d" % int(after)
    except ValueError:
        raise InvalidArgument(f"{after!r} is not where a page of {state.value} jobs ended") from None


def following(state: State, end: bytes) -> str | None:
    """The cursor for the next page; None if there is none."""
    if not end:
        return None
    return end.hex() if state in _BY_KEY else end.decode()
