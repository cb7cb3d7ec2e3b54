"""Making the schema, step by step."""

from __future__ import annotations

from typing import Any, Final

import psycopg
from psycopg import errors
from psycopg.sql import SQL, Identifier

from jobcore.backends.postgres.statements import Statements, Step

_LOCK: Final = SQL("SELECT pg_advisory_xact_lock(hashtextextended('jobcore schema ' || %s, 0))")
_CREATE: Final = SQL("CREATE SCHEMA IF NOT EXISTS {}")
_TABLE: Final = SQL(
    "CREATE TABLE IF NOT EXISTS {}.migrations ("
    "number integer PRIMARY KEY, name text NOT NULL, taken_at timestamptz NOT NULL DEFAULT now())"
)
_TAKEN: Final = SQL("SELECT number FROM {}.migrations")
_NOTE: Final = SQL("INSERT INTO {}.migrations (number, name) VALUES (%s, %s)")


def migrate(connection: psycopg.Connection[Any], statements: Statements) -> None:
    """Take the steps that the schema has not seen yet.

    All in one transaction under an advisory lock: of processes that start at once one does it, and the others
    find it done. Needs the right to create only when there is something to do.
    """
    if not _missing(connection, statements):
        return
    schema = Identifier(statements.schema)
    with connection.transaction():
        connection.execute(_LOCK, [statements.schema])
        if connection.execute("SELECT to_regnamespace(%s) IS NULL", [f'"{statements.schema}"']).fetchone() == (True,):
            connection.execute(_CREATE.format(schema))
        connection.execute(_TABLE.format(schema))
        for step in _missing(connection, statements):
            connection.execute(step.sql, prepare=False)  # several statements can only be sent unprepared
            connection.execute(_NOTE.format(schema), [step.number, step.name])


def _missing(connection: psycopg.Connection[Any], statements: Statements) -> list[Step]:
    try:
        rows = connection.execute(_TAKEN.format(Identifier(statements.schema))).fetchall()
    except (errors.UndefinedTable, errors.InvalidSchemaName):
        return statements.steps
    taken = {number for (number,) in rows}
    return [step for step in statements.steps if step.number not in taken]
