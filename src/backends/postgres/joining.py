"""Pushes in a transaction of the caller's."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
from psycopg.rows import tuple_row
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, scoped_session

from jobcore.backend import InvalidArgument, Pushed
from jobcore.backends.postgres.connections import failure
from jobcore.backends.postgres.database import Database, Run, fetched
from jobcore.backends.postgres.pushing import Steps, through
from jobcore.backends.postgres.rows import Parameters, Row


def join(database: Database, connection: Any, steps: Steps) -> list[Pushed]:
    """Take the steps of a push in the transaction of a connection or session."""
    database.make()
    return through(_runner(database, connection), steps)


async def ajoin(database: Database, connection: Any, steps: Steps) -> list[Pushed]:
    """Take the steps of a push in the transaction of an async connection or session."""
    await asyncio.to_thread(database.make)
    if isinstance(connection, psycopg.AsyncConnection):
        return await _athrough(database, connection, steps)
    if not hasattr(connection, "run_sync"):  # what SQLAlchemy's have; to import them takes greenlet, which few need
        raise InvalidArgument(f"an async connection or session over psycopg 3 is needed, not {_kind(connection)}")
    answer: list[Pushed] = await connection.run_sync(lambda plain: through(_runner(database, plain), steps))
    return answer


def _runner(database: Database, connection: Any) -> Run:
    """What runs a statement on the caller's connection."""
    match connection:
        case scoped_session():
            return _runner(database, connection())
        case Session():
            return _runner(database, connection.connection())
        case Connection() if connection.dialect.driver in {"psycopg", "psycopg_async"}:
            return lambda stem, given: _run_by_sqlalchemy(database, connection, stem, given)
        case psycopg.Connection():
            return lambda stem, given: _run_by_psycopg(database, connection, stem, given)
        case _:
            raise InvalidArgument(f"a connection or session over psycopg 3 is needed, not {_kind(connection)}")


def _run_by_sqlalchemy(database: Database, connection: Connection, stem: str, given: Parameters) -> list[Row]:
    try:
        result = connection.exec_driver_sql(database.statements[stem], database.timed(given))
        return [tuple(row) for row in result] if result.returns_rows else []
    except DBAPIError as error:
        raise failure(error, broken=error.connection_invalidated) from error


def _run_by_psycopg(database: Database, connection: psycopg.Connection[Any], stem: str, given: Parameters) -> list[Row]:
    cursor = psycopg.Cursor(connection, row_factory=tuple_row)
    try:
        return fetched(cursor.execute(database.statements[stem], database.timed(given)))
    except psycopg.Error as error:
        raise failure(error, broken=connection.broken) from error


async def _athrough(database: Database, connection: psycopg.AsyncConnection[Any], steps: Steps) -> list[Pushed]:
    """`through`, awaiting each statement."""
    cursor = psycopg.AsyncCursor(connection, row_factory=tuple_row)
    try:
        stem, given = next(steps)
        while True:
            await cursor.execute(database.statements[stem], database.timed(given))
            stem, given = steps.send(await cursor.fetchall() if cursor.description else [])
    except StopIteration as end:
        answer: list[Pushed] = end.value
        return answer
    except psycopg.Error as error:
        raise failure(error, broken=connection.broken) from error


def _kind(connection: Any) -> str:
    return f"{type(connection).__module__}.{type(connection).__qualname__}"
