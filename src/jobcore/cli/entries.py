"""How a job is shown: as a row of a table, in full, or as JSON."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec

from jobcore.backend import Entry, State
from jobcore.cli.output import iso, when

_TIMES: Final = ("place", "pushed_at", "started_at", "lease_until", "finished_at")
_SHORT: Final = 60

Column: TypeAlias = tuple[str, Callable[[Entry, int], object]]
"""A column's heading, and its cell for an entry and the time now."""

_COMMON: Final[tuple[Column, ...]] = (
    ("id", lambda entry, _: entry.id),
    ("job", lambda entry, _: _opened(entry.payload)[0] or "?"),
    ("args", lambda entry, _: _short(_args(entry.payload))),
    ("priority", lambda entry, _: entry.priority),
    ("attempt", lambda entry, _: entry.attempt),
    ("lost", lambda entry, _: entry.lost),
)
_DUE: Final[tuple[Column, ...]] = (("due", lambda entry, now: when(entry.place, now)),)
_RUNNING: Final[tuple[Column, ...]] = (
    ("started", lambda entry, now: when(entry.started_at, now)),
    ("lease ends", lambda entry, now: when(entry.lease_until, now)),
    ("holder", lambda entry, _: entry.holder),
)
_FINISHED: Final[tuple[Column, ...]] = (
    ("finished", lambda entry, now: when(entry.finished_at, now)),
    ("reason", lambda entry, _: _short((entry.reason or "").partition("\n")[0])),
)


def columns_of(state: State) -> tuple[Column, ...]:
    """What a table of the jobs in a state shows of each."""
    match state:
        case State.READY | State.SCHEDULED:
            return _COMMON + _DUE
        case State.RUNNING:
            return _COMMON + _RUNNING
        case _:
            return _COMMON + _FINISHED


def in_full(entry: Entry, now: int) -> list[tuple[str, str]]:
    """All that is known of a job, as pairs of name and text; what is not known of it is left out."""
    pairs = {**msgspec.structs.asdict(entry), "payload": _pretty(entry.payload)}
    pairs |= {name: when(getattr(entry, name), now) for name in _TIMES}
    pairs["value"] = None if entry.value is None else _pretty(entry.value)
    return [
        (name.removesuffix("_at").replace("_", " "), str(text))
        for name, text in pairs.items()
        if text not in {None, ""}
    ]


def document(entry: Entry) -> dict[str, Any]:
    """A job for programs. The keys are always these; times are ISO 8601 in UTC.

    `job` and `args` are null where the payload is no job's JSON; then `payload_base64` holds its bytes.
    """
    job, args = _opened(entry.payload)
    return {
        "id": entry.id,
        "state": entry.state,
        "job": job,
        "args": args,
        "payload_base64": None if job else b64encode(entry.payload).decode(),
        "priority": entry.priority,
        "attempt": entry.attempt,
        "lost": entry.lost,
        **{name: iso(getattr(entry, name)) for name in _TIMES},
        "holder": entry.holder,
        "reason": entry.reason,
        "value": None if entry.value is None else msgspec.Raw(entry.value),
    }


class _Envelope(msgspec.Struct):
    job: str
    args: msgspec.Raw


def _opened(payload: bytes) -> tuple[str | None, msgspec.Raw | None]:
    """The job's name and its fields, of whatever job, as far as it is one's JSON."""
    try:
        msgspec.json.decode(payload)  # whole: what is inside a Raw is not looked at
        envelope = msgspec.json.decode(payload, type=_Envelope)
    except (ValueError, RecursionError):
        return None, None
    return envelope.job, envelope.args


def _args(payload: bytes) -> str:
    args = _opened(payload)[1]
    return repr(payload) if args is None else bytes(args).decode()


def _pretty(stored: bytes) -> str:
    """JSON with one field a line; other bytes as Python writes them."""
    try:
        return msgspec.json.format(stored).decode()
    except (ValueError, RecursionError):
        return repr(stored)


def _short(text: str) -> str:
    return text if len(text) <= _SHORT else text[: _SHORT - 1] + "…"
