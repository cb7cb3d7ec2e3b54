"""Journals: what one process saw, a line for each thing, in a file that outlives its being killed.

A line is one `write` to a file opened for appending: what was written before a SIGKILL is there, and at most the last
line is torn. What a process is about to send is written before it is sent, so that a call whose answer nobody lived to
see is known to have been made.
"""

from __future__ import annotations

import os
import time
from itertools import count
from pathlib import Path
from typing import TypeAlias

import msgspec
from msgspec import Struct

from jobcore.backend import Answer


class PushSent(Struct, frozen=True, array_like=True, tag="push"):
    """A push is about to be sent: ids, and whether each is remembered."""

    call: int
    at: int
    ids: list[tuple[str, bool]]


class SettleSent(Struct, frozen=True, array_like=True, tag="settle"):
    """A settle is about to be sent: id and fence, and whether it ends the job."""

    call: int
    at: int
    tokens: list[tuple[str, int, bool]]


class Answered(Struct, frozen=True, array_like=True, tag="answer"):
    """A call that was sent has its answer; a push's has no more to say than that."""

    call: int
    at: int
    answers: list[Answer]


class Dropped(Struct, frozen=True, array_like=True, tag="drop"):
    """A call that was to be sent is known not to have been carried out."""

    call: int


class Took(Struct, frozen=True, array_like=True, tag="take"):
    """A claim (or reclaim) gave these: id, fence, and how often each was lost."""

    sent: int
    at: int
    until: int
    reclaimed: bool
    tokens: list[tuple[str, int, int]]


class Extended(Struct, frozen=True, array_like=True, tag="extend"):
    """The leases of these, id and fence, were extended."""

    sent: int
    until: int
    tokens: list[tuple[str, int]]


class Started(Struct, frozen=True, array_like=True, tag="start"):
    """A job has begun to run."""

    at: int
    id: str
    fence: int


Record: TypeAlias = PushSent | SettleSent | Answered | Dropped | Took | Extended | Started

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Record).decode


def now() -> int:
    """Microseconds of a clock that never steps and that all processes of a machine share."""
    return time.monotonic_ns() // 1000


class Journal:
    """One process's file; any of its threads may write.

    Args:
        path: the file, which is made if need be.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._calls = count()

    def write(self, record: Record) -> None:
        """Append a record; it is the system's by the time this returns."""
        os.write(self._file, _encode(record) + b"\n")

    def new_call(self) -> int:
        """A number by which an answer is told to belong to what was sent."""
        return next(self._calls)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def read(path: Path) -> list[Record]:
    """All whole records of a journal, in the order in which they were written."""
    *lines, _torn = path.read_bytes().split(b"\n")
    return [_decode(line) for line in lines]
