"""What the scripts answer, as values. The formats are those of `lua/common.lua`."""

from __future__ import annotations

from struct import Struct
from typing import Any, Final

from jobcore.backend import MAX_PRIORITY, Answer, Claim, Entry, State

STATES: Final = {
    "q": State.READY,
    "d": State.SCHEDULED,
    "r": State.RUNNING,
    "s": State.SUCCEEDED,
    "f": State.FAILED,
    "t": State.TIMED_OUT,
    "b": State.BROKEN,
}
CODES: Final = {state: code for code, state in STATES.items()}

ANSWERS: Final = {
    "d": Answer.DONE,
    "h": Answer.HELD,
    "l": Answer.LOST,
    "w": Answer.WRONG_STATE,
    "-": Answer.MISSING,
}

_JOB: Final = Struct(">c?B7s6xQ12xIII")  # HEAD: state, told, band, place, pushed_at, attempt, lost, size of the note
_RUN: Final = Struct(">24xIIQ26x")  # RUN: attempt, lost, started_at
_TIMES: Final = Struct(">QQ")
_CLAIM: Final = Struct(">HIQ 16sQIIQQ18x 2xB13xQ20xI")  # sizes and lease, then RUN, then HEAD, as far as is told


def claims(reply: bytes) -> list[Claim]:
    """The claims of a packed reply."""
    given, at = [], 0
    while at < len(reply):
        (
            id_size, size, lease_until, call, fence, attempt, lost, started_at, lapsed_at, band, pushed_at, note,
        ) = _CLAIM.unpack_from(reply, at)  # fmt: skip
        payload_at = at + _CLAIM.size + note
        id_at = at + _CLAIM.size - _JOB.size + size
        at = id_at + id_size
        given.append(
            Claim(
                reply[id_at:at].decode(),
                call,
                fence,
                reply[payload_at:id_at],
                MAX_PRIORITY - band,
                attempt,
                lost,
                pushed_at,
                started_at,
                lease_until,
                lapsed_at or None,
            )
        )
    return given


def answers(reply: bytes) -> list[Answer]:
    """An answer for each byte."""
    return [ANSWERS[code] for code in reply.decode()]


def entry(now: int, row: list[bytes]) -> Entry | None:
    """The entry of a row `id, job, run, lease_until`; None of an empty one."""
    if not row:
        return None
    id, job, run, lease_until = row
    code, told, band, place, pushed_at, attempt, lost, size = _JOB.unpack_from(job)
    note, payload = job[_JOB.size : _JOB.size + size], job[_JOB.size + size :]
    due = int.from_bytes(place)
    known: dict[str, Any] = {"attempt": attempt, "lost": lost, "pushed_at": pushed_at}
    if run:
        state = State.RUNNING
        known |= _running(run, lease_until) | {"reason": _text(told, note)}
    elif code == b"q":
        state = State.READY if due <= now else State.SCHEDULED
        known |= {"reason": _text(told, note)}
    else:
        state = STATES[code.decode()]
        known |= _finished(state, told, note)
    return Entry(id.decode(), state, payload, MAX_PRIORITY - band, due, **known)


def _running(run: bytes, lease_until: bytes) -> dict[str, Any]:
    attempt, lost, started_at = _RUN.unpack_from(run)
    return {
        "attempt": attempt,
        "lost": lost,
        "started_at": started_at,
        "lease_until": int(lease_until),
        "holder": run[_RUN.size :].decode(),
    }


def _finished(state: State, told: bool, note: bytes) -> dict[str, Any]:
    started_at, finished_at = _TIMES.unpack_from(note)
    text = note[_TIMES.size :]
    said = {"value": text if told else None} if state is State.SUCCEEDED else {"reason": _text(told, text)}
    return {"started_at": started_at, "finished_at": finished_at, **said}


def _text(told: bool, text: bytes) -> str | None:
    return text.decode() if told else None


def start_order(run: bytes) -> bytes:
    """What runs are listed by: when they started, and of those that started together the job's key."""
    return run[32:40] + run[52 : _RUN.size]
