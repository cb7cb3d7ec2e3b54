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

PUSHED: Final = {
    **{ord(code): (False, state) for code, state in STATES.items()},
    ord("m"): (False, None),
    ord("Q"): (True, State.READY),
    ord("D"): (True, State.SCHEDULED),
}
"""Each byte of push.lua's answer: whether the job was stored, and its state."""

ANSWERS: Final = {
    "d": Answer.DONE,
    "h": Answer.HELD,
    "l": Answer.LOST,
    "w": Answer.WRONG_STATE,
    "-": Answer.MISSING,
}

_JOB: Final = Struct(">c?B7s6xQ4xI")  # HEAD: state, told, band, place, pushed_at, size of the note
_PAST: Final = Struct(">8xII")  # attempt, lost
_TIMES: Final = Struct(">QQ")  # started_at, finished_at
_RUN: Final = Struct(">24xIIQ26x")  # attempt, lost, started_at
_CLAIM: Final = Struct(">HIQ 16sQIIQQ18x 2xB13xQ4xI")  # sizes and lease, then RUN, then HEAD, as far as is told


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
    """The entry of a row `id, job`, and for a running job `run, lease_until, holder`; None of an empty one."""
    if not row:
        return None
    id, job, *run = row
    code, told, band, place, pushed_at, size = _JOB.unpack_from(job)
    note, payload = job[_JOB.size : _JOB.size + size], job[_JOB.size + size :]
    due = int.from_bytes(place)
    state = STATES[code.decode()]
    attempt, lost = _PAST.unpack_from(note) if note else (0, 0)
    rest = note[_PAST.size :]
    known: dict[str, Any] = {}
    if state is not State.READY:
        known["started_at"], known["finished_at"] = _TIMES.unpack_from(rest)
        rest = rest[_TIMES.size :]
    elif run:
        state = State.RUNNING
        attempt, lost, known["started_at"] = _RUN.unpack_from(run[0])
        known |= {"lease_until": int(run[1]), "holder": run[2].decode()}
    elif due > now:
        state = State.SCHEDULED
    if told:
        known |= {"value": rest} if state is State.SUCCEEDED else {"reason": rest.decode()}
    return Entry(id.decode(), state, payload, MAX_PRIORITY - band, due, attempt, lost, pushed_at, **known)


def start_order(run: bytes) -> bytes:
    """What runs are listed by: when they started, and of those that started together the job's key."""
    return run[32:40] + run[52 : _RUN.size]
