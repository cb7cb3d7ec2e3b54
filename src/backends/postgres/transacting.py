"""Transactions for jobs to write in: where their connections come from, and how they begin."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, cast

from psycopg import Connection as RawConnection
from sqlalchemy import Connection, Engine
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import QueuePool

from jobcore.backends.postgres.connections import has_input
from jobcore.backends.postgres.database import Database
from jobcore.backends.postgres.settling import Settling
from jobcore.backends.postgres.transaction import JobTransaction

_IDLE: Final = 16


class Transacting:
    """Begins transactions on connections in a pool of its own, which are opened as the engine opens them.

    A running job has one at the most: there are never more than jobs that run at once, and none waits for another's.
    """

    def __init__(self, engine: Engine, database: Database, settling: Settling) -> None:
        self._theirs = engine
        self._database = database
        self._settling = settling
        self._left_to_parent: list[Engine] = []
        self._begin()

    def _begin(self) -> None:
        theirs = self._theirs
        opens = cast("Callable[[], DBAPIConnection]", partial(self._database.connections.open, own=False))
        pool = QueuePool(opens, pool_size=_IDLE, max_overflow=-1, use_lifo=True, dialect=theirs.dialect)
        self._engine = Engine(pool, theirs.dialect, theirs.url, hide_parameters=theirs.hide_parameters)
        self._renewals = self._database.connections.renewals

    def after_fork(self) -> None:
        """Begin anew in a forked child, and neither use nor close what is the parent's."""
        self._left_to_parent.append(self._engine)
        self._begin()

    def begin(self, queue: str, timeout: int | None) -> JobTransaction:
        """Begin a transaction for a job of a queue; see `Transacts.transact`.

        Raises:
            ConfigurationError: the connections are not at READ COMMITTED.
            Unavailable: there is none to be had.
            Refused: the server answered with an error.
        """
        self._database.make()
        return JobTransaction(self._connect(), self._database, self._settling, queue, timeout)

    def close(self) -> None:
        """Close what idles here; what is in use is closed when it comes back."""
        self._engine.dispose()

    def _connect(self) -> Connection:
        """A connection that was not cut off while it idled, and leads to where others of the driver's do."""
        if self._renewals != self._database.connections.renewals:
            self._renewals = self._database.connections.renewals
            self._engine.dispose()
        while True:
            connection = self._engine.connect()
            if not has_input(cast("RawConnection", connection.connection.driver_connection)):
                return connection
            connection.invalidate()
            connection.close()
