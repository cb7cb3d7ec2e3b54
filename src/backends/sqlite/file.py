"""One database file, as one backend has it open."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from contextlib import closing
from os import PathLike
from pathlib import Path
from typing import TypeVar

from jobcore.backend import QueueClosed, Refused
from jobcore.backends.sqlite.errors import patiently, translated
from jobcore.backends.sqlite.forks import GATE
from jobcore.backends.sqlite.schema import prepare
from jobcore.backends.sqlite.writer import Change, Writer

T = TypeVar("T")


class File:
    """A database file with one connection that writes, and as many that read as threads do so at once.

    Nothing is opened before it is needed, and a file that is not there is read as an empty one: only writing makes it.

    Args:
        path: where the file is or is to be.
        timeout: seconds that a call waits for the locks of others.
        synchronous: FULL or NORMAL, as SQLite has it.
    """

    def __init__(self, path: str | PathLike[str], timeout: float, synchronous: str) -> None:
        self.path = Path(path).absolute()  # wherever this process goes later
        self._timeout = timeout
        self.synchronous = synchronous
        self._closed = False
        self._writer = Writer(self.path, self._open, timeout)
        self.begin_anew()
        GATE.add(self)

    def begin_anew(self) -> None:
        """In a forked child: see `Forkable`."""
        self._idle: deque[sqlite3.Connection] = deque()
        self._watcher: sqlite3.Connection | None = None
        self._watching = threading.Lock()
        self._writer.begin_anew()

    def disconnect(self) -> None:
        """Close all connections. None is in use: see `Gate`."""
        self._close_readers()
        self._writer.disconnect()

    def write(self, change: Change[T]) -> T:
        """Make a change in a transaction; returns and raises as `Writer.write`."""
        return self._writer.write(change)

    def read(self, look: Callable[[sqlite3.Connection], T]) -> T:
        """What `look` sees, which is the file at one moment.

        Raises:
            Unavailable: the file could not be opened, or others kept its lock.
            Refused: SQLite did not do it.
        """
        with GATE:
            try:
                return patiently(lambda: self._read(look), self._timeout)
            except sqlite3.Error as error:
                raise translated(error, self.path) from error

    def version(self) -> int:
        """A number that changes with each commit, of any process. It is read from shared memory, not from disk."""
        with GATE, self._watching:
            self.check_open()
            if self.is_missing():
                return 0
            try:
                self._watcher = self._watcher or patiently(self._open, self._timeout)
                return int(self._watcher.execute("PRAGMA data_version").fetchone()[0])
            except sqlite3.Error as error:
                raise translated(error, self.path) from error

    def is_missing(self) -> bool:
        """Whether the file is still to be made, where it could be."""
        # Path's own methods raise where a folder may not be looked into; opening says better what is wrong there.
        return not os.path.exists(self.path) and os.path.isdir(self.path.parent)  # noqa: PTH110, PTH112 -- see above

    def check_open(self) -> None:
        """Raise QueueClosed after `close`."""
        if self._closed:
            raise QueueClosed("this backend was closed")

    def close(self) -> None:
        """Finish what was begun, and close the connections."""
        self._closed = True
        self._writer.close()
        with GATE, self._watching:
            self._close_readers()

    def _close_readers(self) -> None:
        while self._idle:
            self._idle.pop().close()
        if self._watcher:
            self._watcher.close()
            self._watcher = None

    def _read(self, look: Callable[[sqlite3.Connection], T]) -> T:
        self.check_open()
        if self.is_missing():
            with closing(_empty()) as nothing:
                return look(nothing)
        db = self._idle.pop() if self._idle else self._open()
        try:
            db.execute("BEGIN")
            seen = look(db)
            db.execute("COMMIT")
        except BaseException:
            db.close()
            raise
        if self._closed:
            db.close()
        else:
            self._idle.append(db)
        return seen

    def _open(self) -> sqlite3.Connection:
        """A new connection, to tables that are up to date. Raises sqlite3.Error where a lock is another's."""
        db = sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False, cached_statements=100)
        try:
            self._set_up(db)
        except BaseException:
            db.close()
            raise
        return db

    def _set_up(self, db: sqlite3.Connection) -> None:
        (mode,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise Refused(f"{self.path}: no write-ahead log can be kept here; choose a local disk")
        db.execute(f"PRAGMA synchronous = {self.synchronous}")
        prepare(db)


def _empty() -> sqlite3.Connection:
    """What a new file would be, in memory."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    prepare(db)
    return db
