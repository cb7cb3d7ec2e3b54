"""The driver: each verb checks its arguments, and looks or changes in one transaction."""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Callable, Collection, Sequence
from os import PathLike
from typing import Any, Final, TypeVar

from jobcore.backend import (
    Answer,
    Claim,
    Claimed,
    Clock,
    Counts,
    Entry,
    Finding,
    Hold,
    InvalidArgument,
    Keep,
    Outcome,
    Page,
    Push,
    Pushed,
    State,
    SystemClock,
    check_claim,
    check_extend,
    check_id,
    check_peek,
    check_push,
    check_queue,
    check_reclaim,
    check_settle,
)
from jobcore.backends.sqlite import holding, listing, moving, settling
from jobcore.backends.sqlite.diagnosis import findings
from jobcore.backends.sqlite.file import File
from jobcore.backends.sqlite.joining import joined
from jobcore.backends.sqlite.order import first_place
from jobcore.backends.sqlite.scripts import script
from jobcore.backends.sqlite.transaction import Transaction
from jobcore.backends.sqlite.waiting import bell, wait_for_change

T = TypeVar("T")

_SECOND: Final = 1_000_000
_MIN_WAIT: Final = 0.001


class SqliteBackend:
    """A `Backend` in one SQLite file, for any number of threads and processes of one machine.

    Args:
        path: where the file is; it is made at the first use.
        clock: what tells the time; the machine's wall clock unless given.
        timeout: seconds that a call waits for the locks of others.
        synchronous: "FULL": what was acknowledged survives a power cut. "NORMAL": it survives the death of any
            process, but a power cut or a crash of the system may undo the last moments.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        clock: Clock | None = None,
        timeout: float = 10.0,
        synchronous: str = "FULL",
    ) -> None:
        self._file = File(path, timeout, synchronous)
        self._clock = clock or SystemClock()
        self._bell = bell(self._file.path)
        self._clock.watch(self._bell.ring)

    def push(self, queue: str, pushes: Sequence[Push]) -> list[Pushed]:
        """See `Backend.push`."""
        check_push(queue, pushes)
        return self._change(queue, pushes, lambda tx: moving.push(tx, pushes))

    def claim(self, queue: str, limit: int, lease: int, holder: str, call: bytes, max_bytes: int) -> Claimed:
        """See `Backend.claim`."""
        check_claim(queue, limit, lease, holder, call, max_bytes)
        return self._look(queue, lambda tx: holding.look(tx, limit, call)) or self._write(
            queue, lambda tx: holding.claim(tx, limit, lease, holder, call, max_bytes)
        )

    def reclaim(
        self, queue: str, limit: int, lease: int, holder: str, call: bytes, of: str | None = None
    ) -> list[Claim]:
        """See `Backend.reclaim`."""
        check_reclaim(queue, limit, lease, holder, call, of)
        if not self._look(queue, lambda tx: holding.may_reclaim(tx, limit, call, of)):
            return []
        return self._write(queue, lambda tx: holding.reclaim(tx, limit, lease, holder, call, of))

    def extend(self, queue: str, holds: Sequence[Hold], lease: int) -> list[Answer]:
        """See `Backend.extend`. Never BUSY: who waits here waits for a commit, not for a caller."""
        check_extend(queue, holds, lease)
        return self._write(queue, lambda tx: holding.extend(tx, holds, lease)) if holds else self._nothing()

    def settle(self, queue: str, settlements: Sequence[tuple[Hold, Outcome]], keep: Keep) -> list[Answer]:
        """See `Backend.settle`."""
        check_settle(queue, settlements, keep)
        return self._change(queue, settlements, lambda tx: settling.settle(tx, settlements, keep))

    def peek(self, queue: str, state: State, limit: int, after: str | None = None) -> Page:
        """See `Backend.peek`."""
        check_peek(queue, limit)
        return self._look(queue, lambda tx: listing.peek(tx, state, limit, after))

    def get(self, queue: str, ids: Sequence[str]) -> list[Entry | None]:
        """See `Backend.get`."""
        _check_ids(queue, ids)
        return self._look(queue, lambda tx: listing.get(tx, ids))

    def counts(self, queue: str) -> Counts:
        """See `Backend.counts`."""
        check_queue(queue)
        return self._look(queue, listing.counts)

    def redrive(self, queue: str, ids: Sequence[str]) -> list[Answer]:
        """See `Backend.redrive`."""
        _check_ids(queue, ids)
        return self._change(queue, ids, lambda tx: moving.redrive(tx, ids))

    def remove(self, queue: str, ids: Sequence[str]) -> list[Answer]:
        """See `Backend.remove`."""
        _check_ids(queue, ids)
        return self._write(queue, lambda tx: moving.remove(tx, ids)) if ids else self._nothing()

    def destroy(self, queue: str) -> None:
        """See `Backend.destroy`."""
        check_queue(queue)
        self._write(queue, moving.destroy)

    def describe(self) -> dict[str, str]:
        """The version of the library, for a verdict on this driver."""
        return {"sqlite": sqlite3.sqlite_version}

    def unmade(self) -> str | None:
        """See `Makes.unmade`."""
        return f"there is no file {self._file.path} yet" if self._file.is_missing() else None

    def diagnose(self) -> list[Finding]:
        """See `Diagnoses.diagnose`. A file that is not there yet is not made."""
        self._file.check_open()
        return list(findings(self._file))

    def queues(self) -> list[str]:
        """See `Diagnoses.queues`."""
        return self._file.read(lambda db: [name for (name,) in db.execute(script("queues"))])

    def close(self) -> None:
        """See `Backend.close`. The file stays."""
        self._file.close()
        self._bell.ring()

    def wait(self, queues: Collection[str], timeout: float) -> set[str]:
        """See `Wakes.wait`."""
        for queue in queues:
            check_queue(queue)
        deadline = time.monotonic() + min(timeout, 1.0)
        with self._bell.listening() as heard:
            while True:
                version = self._file.version()
                ahead = self._file.read(lambda db: {queue: self._until_due(db, queue) for queue in queues})
                due = {queue for queue, seconds in ahead.items() if seconds <= 0}
                left = deadline - time.monotonic()
                if due or left <= 0:
                    return due
                # Never so short that a clock standing still before the time of a job keeps us busy.
                until_due = max(_MIN_WAIT, min(ahead.values(), default=left))
                wait_for_change(heard, version, self._file.version, min(left, until_due))

    def join(self, connection: Any, queue: str, pushes: Sequence[Push]) -> list[Pushed]:
        """See `Joins.join`: in a `sqlite3.Connection`, or an SQLAlchemy `Connection` or `Session`, to the same file."""
        check_push(queue, pushes)
        self._file.check_open()
        with joined(connection, self._file.path) as db:
            return moving.push(Transaction(db, queue, self._clock.now()), pushes)

    async def ajoin(self, connection: Any, queue: str, pushes: Sequence[Push]) -> list[Pushed]:
        """See `Joins.ajoin`: in an SQLAlchemy `AsyncConnection` or `AsyncSession` to the same file."""
        if not hasattr(connection, "run_sync"):
            kinds = "an SQLAlchemy AsyncConnection or AsyncSession"
            raise InvalidArgument(f"connection= takes {kinds} here, not {type(connection).__name__}")
        pushed: list[Pushed] = await connection.run_sync(self.join, queue, pushes)
        return pushed

    def _look(self, queue: str, look: Callable[[Transaction], T]) -> T:
        return self._file.read(lambda db: look(Transaction(db, queue, self._clock.now())))

    def _write(self, queue: str, change: Callable[[Transaction], T]) -> T:
        return self._file.write(lambda db: change(Transaction(db, queue, self._clock.now())))

    def _change(self, queue: str, items: Sequence[object], change: Callable[[Transaction], list[T]]) -> list[T]:
        """Make a change that can make jobs ready, and wake whoever waits for them."""
        if not items:
            return self._nothing()
        answers = self._write(queue, change)
        self._bell.ring()
        return answers

    def _nothing(self) -> list[Any]:
        """The answer to an empty batch."""
        self._file.check_open()
        return []

    def _until_due(self, db: sqlite3.Connection, queue: str) -> float:
        """Seconds until the first job of a queue is due; without end if there is none."""
        now = self._clock.now()
        first = first_place(Transaction(db, queue, now))
        return math.inf if first is None else (first - now) / _SECOND


def _check_ids(queue: str, ids: Sequence[str]) -> None:
    check_queue(queue)
    for id in ids:
        check_id(id)
