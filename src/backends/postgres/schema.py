"""Making the schema, step by step.

A step within the same hundred as those before it only adds: drivers that don't know it work on beside those that do. A
step of the next hundred is one that they can't work with, and refuse.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import psycopg
from psycopg.sql import SQL, Identifier

from jobcore.backend import Refused
from jobcore.backends.postgres.statements import Statements, Step

_GENERATION: Final = 100

_LOCK: Final = SQL("SELECT pg_advisory_xact_lock(hashtextextended('jobcore schema ' || {}, 0))")
_CREATE: Final = SQL("CREATE SCHEMA IF NOT EXISTS {}")
_TABLE: Final = SQL(
    "CREATE TABLE IF NOT EXISTS {}.migrations ("
    "number integer PRIMARY KEY, name text NOT NULL, taken_at timestamptz NOT NULL DEFAULT now())"
)
_THERE: Final = SQL("SELECT to_regclass(%s) IS NOT NULL")
_TAKEN: Final = SQL("SELECT number, name FROM {}.migrations ORDER BY number")
_NOTE: Final = SQL("INSERT INTO {}.migrations (number, name) VALUES ({}, {})")


def migrate(connection: psycopg.Connection[Any], statements: Statements) -> list[Step]:
    """Take the steps that the schema has not seen yet, and return them.

    All in one transaction under an advisory lock: of processes that start at once one does it, and the others
    find it done. Needs the right to create only when there is something to do.

    Raises:
        Refused: the schema is of a later generation than this driver.
    """
    if not missing(connection, statements):
        return []
    schema = Identifier(statements.schema)
    with connection.transaction():
        connection.execute(_LOCK.format(statements.schema))
        if connection.execute("SELECT to_regnamespace(%s) IS NULL", [f'"{statements.schema}"']).fetchone() == (True,):
            connection.execute(_CREATE.format(schema))
        connection.execute(_TABLE.format(schema))
        steps = missing(connection, statements)
        for step in steps:
            connection.execute(step.sql, prepare=False)  # several statements can only be sent unprepared
            connection.execute(_NOTE.format(schema, step.number, step.name))
    return steps


def missing(connection: psycopg.Connection[Any], statements: Statements) -> list[Step]:
    """The steps that the schema has not seen yet.

    Raises:
        Refused: it is of a later generation than this driver.
    """
    if not is_there(connection, statements):
        return statements.steps
    rows = connection.execute(_TAKEN.format(Identifier(statements.schema))).fetchall()
    last = statements.steps[-1].number
    for number, name in rows:
        if number // _GENERATION > last // _GENERATION:
            raise Refused(
                f"the schema {statements.schema!r} has taken step {number} ({name}), which this version of jobcore, "
                f"that knows steps up to {last}, can't work with: install a newer one"
            )
    taken = {number for number, _ in rows}
    return [step for step in statements.steps if step.number not in taken]


def is_there(connection: psycopg.Connection[Any], statements: Statements) -> bool:
    """Whether any step was taken."""
    return connection.execute(_THERE, [f'"{statements.schema}".migrations']).fetchone() == (True,)


def operations(statements: Statements, steps: Sequence[Step]) -> list[str]:
    """The SQL that takes these steps, in order, to be run in one transaction. If one was taken before, it fails."""
    schema = Identifier(statements.schema)
    first = bool(steps) and steps[0] == statements.steps[0]
    found = [_LOCK.format(statements.schema), *([_CREATE.format(schema), _TABLE.format(schema)] if first else [])]
    texts = [each.as_string() for each in found]
    for step in steps:
        texts += [_NOTE.format(schema, step.number, step.name).as_string(), step.sql.rstrip().removesuffix(";")]
    return texts


def script(statements: Statements, steps: Sequence[Step]) -> str:
    """The same as one text, with its transaction."""
    if not steps:
        return "-- No step is missing.\n"
    return "\n\n".join(f"{each};" for each in ["BEGIN", *operations(statements, steps), "COMMIT"]) + "\n"
