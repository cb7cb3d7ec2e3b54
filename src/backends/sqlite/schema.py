"""The tables, made and brought up to date by numbered steps, of which each is taken once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Final

from jobcore.backend import ConfigurationError
from jobcore.backends.sqlite.scripts import script
from jobcore.backends.sqlite.transaction import Database

VERSION: Final = 1
"""How many steps there are: `sql/schema_1.sql` to `sql/schema_VERSION.sql`."""

_TABLES: Final = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'jobcore_schema'"


def prepare(db: Database) -> None:
    """Bring the tables up to date in a transaction of its own, if they are not."""
    if _version(db) == VERSION:
        return
    db.execute("BEGIN IMMEDIATE")  # whoever waited here finds the work done
    try:
        upgrade(db)
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise


def upgrade(db: Database) -> None:
    """Take the steps that are missing, in the open transaction.

    Raises:
        ConfigurationError: the file was brought further than this version knows.
    """
    version = _version(db)
    if version > VERSION:
        raise ConfigurationError(f"the file's tables are of version {version}, this jobcore knows {VERSION}: update it")
    for step in range(version + 1, VERSION + 1):
        for statement in _statements(script(f"schema_{step}")):
            db.execute(statement)
    if version < VERSION:
        db.execute("DELETE FROM jobcore_schema")
        db.execute("INSERT INTO jobcore_schema (version) VALUES (:version)", {"version": VERSION})


def _statements(text: str) -> Iterator[str]:
    statement = ""
    for line in text.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _version(db: Database) -> int:
    """The version of the tables; 0 if there are none. The file's own `user_version` belongs to the application."""
    if not db.execute(_TABLES).fetchone()[0]:
        return 0
    found = db.execute("SELECT version FROM jobcore_schema").fetchone()
    return int(found[0])
