"""The application's own connection, made to run our statements inside its transaction."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jobcore.backend import InvalidArgument, Unavailable
from jobcore.backends.sqlite.errors import is_busy, translated
from jobcore.backends.sqlite.schema import upgrade
from jobcore.backends.sqlite.transaction import Database


@contextmanager
def joined(connection: Any, path: Path) -> Iterator[Database]:
    """The open transaction of a `sqlite3.Connection`, or of an SQLAlchemy `Connection` or `Session`.

    If none is open, one is begun. To end it is the caller's business; what is done here is undone if it fails.

    Raises:
        InvalidArgument: it is something else, or a connection to another file.
        Unavailable: the lock is another's, or what the transaction has read is no longer so; nothing was pushed.
        Refused: SQLite did not do it; nothing was pushed.
    """
    try:
        if isinstance(connection, sqlite3.Connection):
            with _plain(connection), _within(connection, connection, path) as db:
                yield db
        else:
            core = _sqlalchemy_connection(connection)
            with _within(_Executor(core), core.connection.driver_connection, path) as db:
                yield db
    except Exception as error:
        cause = getattr(error, "orig", error)  # SQLAlchemy wraps what the driver raised
        if not isinstance(cause, sqlite3.Error):
            raise
        if is_busy(cause):
            raise Unavailable(
                f"{path}: another connection is writing, or has written since this transaction began to read: "
                "roll back, and begin it anew (BEGIN IMMEDIATE takes the lock at once)"
            ) from error
        raise translated(cause, path) from error


class _Executor:
    """An SQLAlchemy connection as a `Database`. SQLAlchemy learns that a transaction is open by running it."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Any = None, /) -> Any:
        """See `Database.execute`."""
        return self._connection.exec_driver_sql(sql, parameters)


@contextmanager
def _plain(connection: sqlite3.Connection) -> Iterator[None]:
    """Have rows and texts as `sqlite3` gives them unless told otherwise."""
    factories = connection.row_factory, connection.text_factory
    connection.row_factory, connection.text_factory = None, str
    try:
        yield
    finally:
        connection.row_factory, connection.text_factory = factories


@contextmanager
def _within(db: Database, driver: Any, path: Path) -> Iterator[Database]:
    """A step of the transaction that is open, or of a new one."""
    _check_file(db, path)
    if not driver.in_transaction:  # a savepoint alone would be committed when it is released
        db.execute("BEGIN IMMEDIATE")
    db.execute("SAVEPOINT jobcore")
    try:
        upgrade(db)
        yield db
    except Exception:
        if driver.in_transaction:  # else SQLite has undone all of it
            db.execute("ROLLBACK TO jobcore")
            db.execute("RELEASE jobcore")
        raise
    db.execute("RELEASE jobcore")


def _check_file(db: Database, path: Path) -> None:
    files = {name: file for _, name, file in db.execute("PRAGMA database_list")}
    if not files["main"] or not path.exists() or not path.samefile(files["main"]):
        raise InvalidArgument(f"the connection is to {files['main'] or 'memory'}, the queue's jobs are in {path}")


def _sqlalchemy_connection(connection: Any) -> Any:
    """The SQLAlchemy connection of a connection or session. Who hands one in has imported SQLAlchemy."""
    orm, core = sys.modules.get("sqlalchemy.orm"), sys.modules.get("sqlalchemy")
    if orm and isinstance(connection, orm.Session | orm.scoped_session):
        connection = connection.connection()
    if core and isinstance(connection, core.Connection):
        return connection
    kinds = "a sqlite3.Connection, an SQLAlchemy Connection or a Session"
    raise InvalidArgument(f"connection= takes {kinds} here, not {type(connection).__name__}")
