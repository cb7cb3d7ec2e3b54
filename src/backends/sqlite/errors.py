"""What SQLite's errors mean to a caller, and what to do about them."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from jobcore.backend import BackendError, Refused, Unavailable, Uncertain

T = TypeVar("T")

_BUSY: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}

_ADVICE: Final = {
    sqlite3.SQLITE_FULL: "free space on its disk, or raise its max_page_count",
    sqlite3.SQLITE_READONLY: "give this process the right to write the file and the folder that it is in",
    sqlite3.SQLITE_PERM: "give this process the right to write the file and the folder that it is in",
    sqlite3.SQLITE_NOTADB: "the path names another kind of file: choose another path",
    sqlite3.SQLITE_CORRUPT: "the file is damaged: restore it from a backup, or save what can be with `.recover`",
    sqlite3.SQLITE_IOERR: "look at the disk and the system's log; a network file system will not do",
    sqlite3.SQLITE_CANTOPEN: "see that its folder exists and that this process may write there",
    sqlite3.SQLITE_TOOBIG: "SQLite takes payloads of up to a thousand million bytes",
}


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's number for the kind of an error; 0 for one of Python's own."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def is_busy(error: sqlite3.Error) -> bool:
    """Whether the lock is another's at this moment, so that the statement can be tried again."""
    return primary_code(error) in _BUSY


def translated(error: sqlite3.Error, path: Path) -> BackendError:
    """The error to raise for one that left nothing changed: Unavailable, or Refused."""
    code = primary_code(error)
    if is_busy(error):
        return Unavailable(f"{path}: another connection kept the database's lock all the time")
    advice = _ADVICE.get(code)
    kind = Unavailable if code == sqlite3.SQLITE_CANTOPEN else Refused
    return kind(f"{path}: {error}" + (f"; {advice}" if advice else ""))


def of_commit(error: Exception, path: Path) -> BackendError:
    """The error to raise for one of COMMIT: where disk or memory failed, it may have been done."""
    if not isinstance(error, sqlite3.Error):
        return Uncertain(f"{path}: {type(error).__name__} during a commit")
    if primary_code(error) == sqlite3.SQLITE_IOERR:
        return Uncertain(f"{path}: {error}; {_ADVICE[sqlite3.SQLITE_IOERR]}")
    return translated(error, path)


def patiently(step: Callable[[], T], timeout: float) -> T:
    """Do `step`, which changes nothing when it fails, again and again while the lock is another's.

    SQLite's own busy handler sleeps up to a tenth of a second at a time, and who comes last waits longest. Short
    sleeps of random length let everybody in.

    Raises:
        sqlite3.Error: what `step` raised, if it was something else or `timeout` seconds have passed.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            return step()
        except sqlite3.Error as error:
            if not is_busy(error) or time.monotonic() > deadline:
                raise
        pause()


def pause() -> None:
    """Let another connection finish what it is at."""
    time.sleep(random.uniform(0.0005, 0.004))  # noqa: S311 -- no secret
