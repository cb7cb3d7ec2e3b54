"""Group commits: one thread writes, and what is handed in while it commits becomes its next transaction.

SQLite lets in one writer at a time, and each commit waits for the disk. Calls of several threads share that wait.
The thread is the writer's own because a caller's may be interrupted at any bytecode by the timeout of its job.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from jobcore.backend import QueueClosed, Unavailable
from jobcore.backends.sqlite.errors import is_busy, of_commit, patiently, pause, translated
from jobcore.backends.sqlite.forks import GATE

T = TypeVar("T")
Change: TypeAlias = Callable[[sqlite3.Connection], T]
"""What a call does within a transaction. It may be undone and done again, so it changes nothing but the file."""

_GROUP: Final = 1000
"""Calls in one transaction at the most."""


class _Call(NamedTuple):
    change: Change[Any]
    answer: Future[Any]


class Writer:
    """Makes changes to one file, in as few transactions as their arrival allows.

    Args:
        path: the file's, for messages.
        connect: opens a connection.
        timeout: seconds that a caller waits for the lock.
    """

    def __init__(self, path: Path, connect: Callable[[], sqlite3.Connection], timeout: float) -> None:
        self._path = path
        self._connect = connect
        self._timeout = timeout
        self._closed = False
        self.begin_anew()

    def begin_anew(self) -> None:
        """In a forked child, whose parent makes the changes that waited: begin with none."""
        self._db: sqlite3.Connection | None = None
        self._thread: threading.Thread | None = None
        self._waiting: deque[_Call] = deque()
        self._arrived = threading.Condition()

    def write(self, change: Change[T]) -> T:
        """Make a change, and return what it returned once it is on disk.

        Raises:
            Unavailable: the file could not be opened, or others kept its lock; nothing was changed.
            Refused: SQLite did not do it; nothing was changed.
            Uncertain: the disk failed while the change was being committed.
        """
        call = _Call(change, Future())
        with self._arrived:
            if self._closed:
                raise QueueClosed("this backend was closed")
            self._ensure_thread()
            self._waiting.append(call)
            self._arrived.notify()
        try:
            return call.answer.result(self._timeout)  # type: ignore[no-any-return]  # it is what `change` gave
        except TimeoutError:
            if call.answer.cancel():
                raise Unavailable(f"{self._path}: other connections kept it locked for {self._timeout} s") from None
        return call.answer.result()  # type: ignore[no-any-return]  # it has begun: the lock is ours, and it will end

    def close(self) -> None:
        """Make the changes that wait, and end."""
        with self._arrived:
            self._closed = True
            self._arrived.notify()
            thread = self._thread
        if thread:
            thread.join(self._timeout)

    def disconnect(self) -> None:
        """Close the connection. Nothing is being written: see `Gate`."""
        if self._db:
            self._db.close()
            self._db = None

    # -- in the thread

    def _ensure_thread(self) -> None:
        if self._thread is None:
            thread = threading.Thread(target=self._work, name="jobcore-sqlite", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                raise Unavailable(f"{self._path}: no thread is to be had to write with: {error}") from error
            self._thread = thread

    def _work(self) -> None:
        while self._await_calls():
            with GATE:
                done = self._transact()
            if not done:
                pause()
        with GATE:
            self.disconnect()

    def _await_calls(self) -> bool:
        """Whether there is something to do; False once closed."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._waiting or self._closed)
            return bool(self._waiting)

    def _transact(self) -> bool:
        """Make one transaction of what waits; False if the lock is another's.

        What arrived while we waited for the lock comes along. A caller whose patience ended has cancelled.
        """
        try:
            db = self._db = self._db or self._connect()
            db.execute("BEGIN IMMEDIATE")
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is the callers' to know
            if isinstance(error, sqlite3.Error) and is_busy(error):
                self._drop_cancelled()
                return False
            self._fail(self._take(), error)
            self.disconnect()  # it may be left in a transaction that could not be undone
            return True
        self._carry_out(db, self._take())
        return True

    def _carry_out(self, db: sqlite3.Connection, calls: Sequence[_Call]) -> None:
        """Make these changes, in the transaction that was begun. One that fails must not undo its neighbours."""
        try:
            results = [call.change(db) for call in calls]
        except Exception as error:  # noqa: BLE001 -- see above
            _roll_back(db)
            if len(calls) == 1:
                self._fail(calls, error)
            else:
                self._one_by_one(db, calls)
            return
        try:
            db.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 -- Python has a MemoryError for SQLite's
            _roll_back(db)
            self.disconnect()
            for call in calls:
                call.answer.set_exception(of_commit(error, self._path))
            return
        for call, result in zip(calls, results, strict=True):
            call.answer.set_result(result)

    def _one_by_one(self, db: sqlite3.Connection, calls: Sequence[_Call]) -> None:
        deadline = time.monotonic() + self._timeout  # for all of them: the last one's caller waits as long as they do
        for call in calls:
            try:
                patiently(lambda: db.execute("BEGIN IMMEDIATE"), deadline - time.monotonic())
            except Exception as error:  # noqa: BLE001 -- see above
                self._fail([call], error)
            else:
                self._carry_out(db, [call])

    def _take(self) -> list[_Call]:
        """The calls of the next transaction, which their callers can then no longer cancel."""
        with self._arrived:
            calls = [self._waiting.popleft() for _ in range(min(len(self._waiting), _GROUP))]
        return [call for call in calls if call.answer.set_running_or_notify_cancel()]

    def _drop_cancelled(self) -> None:
        with self._arrived:
            self._waiting = deque(call for call in self._waiting if not call.answer.cancelled())

    def _fail(self, calls: Sequence[_Call], error: Exception) -> None:
        for call in calls:
            call.answer.set_exception(translated(error, self._path) if isinstance(error, sqlite3.Error) else error)


def _roll_back(db: sqlite3.Connection) -> None:
    with suppress(sqlite3.Error, MemoryError):  # where SQLite has done so itself, there is nothing to undo
        db.execute("ROLLBACK")
