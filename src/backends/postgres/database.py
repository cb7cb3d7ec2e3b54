"""Running statements: on connections of the driver's, at the time that its clock tells."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Final, TypeAlias

import psycopg
from psycopg import errors
from sqlalchemy import Engine

from jobcore.backend import BackendError, Clock, QueueClosed, Refused, Uncertain
from jobcore.backends.postgres.connections import Connections, Cursor, failure
from jobcore.backends.postgres.rows import Parameters, Row
from jobcore.backends.postgres.schema import is_there, migrate, missing
from jobcore.backends.postgres.statements import Statements, Step

Run: TypeAlias = Callable[[str, Parameters], list[Row]]
"""Runs a statement, by its stem, with its parameters, and gives its rows."""

Steps: TypeAlias = Iterable[tuple[str, Parameters]]
"""Statements, by their stems, and their parameters."""

_ONES: Final = {"push_one", "push_one_new", "wait", "wake"}
"""Sent over and over, with little in them. A cursor keeps what it last sent and got: batches are sent by new ones."""

UNMADE: Final = (errors.InvalidSchemaName, errors.UndefinedTable, errors.UndefinedFunction)


def no_more(_rows: list[Row]) -> Steps:
    """No further statements."""
    return ()


class Database:
    """One schema of a database; its tables are made at the first use."""

    def __init__(
        self, engine: Engine, statements: Statements, clock: Clock | None, timeout: float, *, prepare: bool
    ) -> None:
        self.statements = statements
        self.connections = Connections(engine, timeout=timeout, prepare=prepare)
        self._clock = clock
        self._made = False

    def make(self) -> None:
        """See to it that the tables are there."""
        self.connections.check_open()
        if not self._made:
            self.connections.call(lambda connection: migrate(connection, self.statements))
            self._made = True

    def is_there(self) -> bool:
        """Whether there are tables, of whatever step."""
        return self.connections.call(lambda connection: is_there(connection, self.statements))

    def missing(self) -> list[Step]:
        """The steps that would make the tables, or bring them up to date."""
        return self.connections.call(lambda connection: missing(connection, self.statements))

    def migrate(self) -> list[Step]:
        """Take these steps, however long that lasts, and return them."""
        self.connections.check_open()
        with self.connections.open() as connection:
            try:
                with connection.transaction():
                    connection.execute("SET LOCAL statement_timeout = 0")
                    return migrate(connection, self.statements)
            except psycopg.Error as error:
                raise failure(error, broken=connection.broken) from error

    def run(self, stem: str, parameters: Parameters) -> list[Row]:
        """The rows of one statement: one round trip, one transaction. An empty batch of ids is not sent."""
        return self._run(parameters, lambda cursor, given: self._execute(cursor, stem, given))

    def run_further(self, stem: str, parameters: Parameters) -> list[Row]:
        """`run`, for a verb that has committed a statement already.

        Raises:
            Uncertain: it failed, however it did; of the verb it can't be said any more that it was not carried out.
        """
        try:
            return self.run(stem, parameters)
        except (BackendError, QueueClosed) as error:
            raise Uncertain(f"a part was carried out, and then it failed: {error}") from error

    def run_alone(self, stem: str, parameters: Parameters, then: Callable[[list[Row]], Steps] = no_more) -> list[Row]:
        """The rows of a statement in a transaction that has the queue's lock.

        `then` is told the rows, and says which statements the same transaction goes on with.
        """
        return self._run(parameters, lambda cursor, given: self._transact(cursor, stem, given, then))

    def timed(self, parameters: Parameters) -> Parameters:
        """The parameters with the time; null stands for the server's."""
        return {"now": self._clock.now() if self._clock else None, **parameters}

    def _run(self, parameters: Parameters, work: Callable[[Cursor, Parameters], list[Row]]) -> list[Row]:
        self.make()
        if parameters.get("ids") == []:
            return []
        given = self.timed(parameters)
        try:
            return self.connections.lend(lambda cursor: work(cursor, given))
        except Refused as error:
            if isinstance(error.__cause__, UNMADE):
                self._made = False  # somebody dropped it: the next call makes it, or finds it made
            raise

    def _execute(self, cursor: Cursor, stem: str, given: Parameters) -> list[Row]:
        if self.connections.prepare:
            return fetched(self._send(cursor, stem, given))
        # A session that a pooler lends is left as it was: what is set ends with the transaction.
        connection = cursor.connection
        together = connection.pipeline() if psycopg.capabilities.has_pipeline() else nullcontext()
        with together, connection.transaction():
            self.connections.set(connection, local=True)
            sent = self._send(cursor, stem, given)
        return fetched(sent)

    def _transact(self, cursor: Cursor, stem: str, given: Parameters, then: Callable[[list[Row]], Steps]) -> list[Row]:
        with cursor.connection.transaction():
            if not self.connections.prepare:
                self.connections.set(cursor.connection, local=True)
            self._send(cursor, "lock", given)
            rows = fetched(self._send(cursor, stem, given))
            for further, parameters in then(rows):
                self._send(cursor, further, given | parameters)
        return rows

    def _send(self, cursor: Cursor, stem: str, given: Parameters) -> Cursor:
        asked = cursor if stem in _ONES else Cursor(cursor.connection)
        text, names = self.statements.numbered(stem)
        return asked.execute(text, [given[name] for name in names], binary=True)


def fetched(cursor: psycopg.Cursor[Row]) -> list[Row]:
    """The rows of a statement, also of one that has none to give."""
    return [] if cursor.rownumber is None else cursor.fetchall()
