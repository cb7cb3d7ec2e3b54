"""One job's transaction: begun for it, guarded while it runs, and committed with its fenced settlement."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeAlias, cast
from uuid import uuid4

import psycopg
from psycopg.rows import tuple_row
from sqlalchemy import Connection, event
from sqlalchemy.exc import SQLAlchemyError

from jobcore.backend import (
    Answer,
    BackendError,
    ConfigurationError,
    Hold,
    InvalidArgument,
    Keep,
    QueueClosed,
    Refused,
    Succeed,
    Unavailable,
    Uncertain,
    check_settle,
)
from jobcore.backends.postgres.connections import failure
from jobcore.backends.postgres.database import Database, fetched
from jobcore.backends.postgres.rows import Parameters, Row, settle_arrays
from jobcore.backends.postgres.settling import Settling

_Raw: TypeAlias = psycopg.Connection[Any]

_HANDS_OFF: Final = (
    "a job's transaction ends with the job: leave commit(), rollback() and close() to it, "
    "and use begin_nested() for what may have to be undone"
)


class JobTransaction:
    """A `Transaction`.

    Args:
        connection: SQLAlchemy's, just opened; the transaction's from here on.
        database: where the job is.
        settling: knows what is to be trimmed.
        queue: the job's.
        timeout: microseconds that a statement may take, or None.

    Raises:
        ConfigurationError: it is not at READ COMMITTED. At a higher level a settlement fails wherever the lease was
            extended meanwhile, and can't tell who holds the job; in autocommit nothing can be undone.
        Unavailable: the connection broke.
        Refused: the server answered with an error.
    """

    def __init__(
        self, connection: Connection, database: Database, settling: Settling, queue: str, timeout: int | None
    ) -> None:
        self.connection = connection
        self._database = database
        self._settling = settling
        self._queue = queue
        self._mark = uuid4().hex
        self._xid: str | None = None  # known once COMMIT is about to be sent
        self._ending = False  # by us
        self._tampered = False  # somebody else tried to
        try:
            self._begin(timeout)
        except BaseException:
            self.rollback()
            raise

    def commit(self, hold: Hold, outcome: Succeed, keep: Keep) -> Answer:
        """See `Transaction.commit`. Nothing of the queue is locked before; the settlement comes last."""
        check_settle(self._queue, [(hold, outcome)], keep)
        try:
            if self._tampered:
                raise Refused(_HANDS_OFF)
            with self._working() as raw:
                self._xid = self._settle(raw, hold, outcome, keep)
                if self._xid is not None:
                    raw.commit()
        except Uncertain:
            return self._ask(hold)
        finally:
            self.rollback()
        return Answer.LOST if self._xid is None else Answer.DONE

    def rollback(self) -> None:
        """See `Transaction.rollback`."""
        self._ending = True
        try:
            self._database.connections.check_open()
            with self._working() as raw:
                raw.rollback()
        except (BackendError, QueueClosed):
            self._discard()
        self.connection.close()

    def _begin(self, timeout: int | None) -> None:
        for ending in ("commit", "rollback"):
            event.listen(self.connection, ending, self._guard)
        self.connection.begin()
        with self._working() as raw:
            patience = None if timeout is None else f"{max(1, timeout // 1000)}ms"
            ((level, *_),) = self._run(raw, "transact", {"mark": self._mark, "timeout": patience})
        if raw.autocommit or level != "read committed":
            raise ConfigurationError(
                "ctx.transaction() works at READ COMMITTED, and this engine's connections are at "
                f"{'AUTOCOMMIT' if raw.autocommit else level.upper()}: make the backend of an engine without that"
            )

    def _guard(self, _connection: Connection) -> None:
        if not self._ending:
            self._tampered = True
            raise InvalidArgument(_HANDS_OFF)

    def _settle(self, raw: _Raw, hold: Hold, outcome: Succeed, keep: Keep) -> str | None:
        """Settle the job in its transaction; gives the transaction's id, or None where the token is not current."""
        arrays = settle_arrays({hold: 0}, [(hold, outcome)], keep)
        given = self._database.timed({"queue": self._queue, **arrays})
        idle = f"{round(self._database.connections.timeout * 500)}ms"  # less than who asks for its outcome waits
        # One by one: after a pipeline PostgreSQL forgets to look at how long it waits.
        self._database.connections.set(raw, local=True)
        ((ours, xid, _),) = self._run(raw, "seal", {"mark": self._mark, "idle": idle})
        if not ours:
            raise Refused(_HANDS_OFF)
        if keep.succeeded:
            self._run(raw, "lock", given)
        if not self._run(raw, "settle", given):
            return None
        if keep.succeeded:
            for stem, more in self._settling.trims(self._queue, {"succeeded"}, keep):
                self._run(raw, stem, given | more)
        return cast("str", xid)

    def _run(self, raw: _Raw, stem: str, given: Parameters) -> list[Row]:
        return fetched(psycopg.Cursor(raw, row_factory=tuple_row).execute(self._database.statements[stem], given))

    def _ask(self, hold: Hold) -> Answer:
        """What became of a COMMIT that was not answered, as the server knows.

        Raises:
            Unavailable: it was not carried out.
            Uncertain: the server could not be asked.
        """
        asked = {"queue": self._queue, "id": hold.id, "call": hold.call, "fence": hold.fence, "xid": self._xid}
        ((word,),) = self._database.run_further("outcome", asked)
        match word:
            case "committed":
                return Answer.DONE
            case "aborted":  # and somebody else has the job
                return Answer.LOST
            case "held":
                raise Unavailable("the connection to PostgreSQL broke, and the transaction was rolled back")
            case _:
                raise Uncertain("the connection to PostgreSQL broke at a COMMIT, and the server does not know of it")

    @contextmanager
    def _working(self) -> Iterator[_Raw]:
        """The connection below SQLAlchemy's, watched over, its errors told as a backend's."""
        try:
            raw = cast("_Raw", self.connection.connection.driver_connection)
        except SQLAlchemyError as error:  # somebody has closed it
            raise Refused(_HANDS_OFF) from error
        try:
            with self._database.connections.over(raw):
                yield raw
        except psycopg.Error as error:
            known = failure(error, broken=raw.broken)
            if isinstance(known, Uncertain) and self._xid is None:
                known = Unavailable(f"{known}: the transaction was rolled back")
            raise known from error

    def _discard(self) -> None:
        """Leave to the server, which misses its client, what can't be undone in order."""
        if not self.connection.closed:
            self.connection.invalidate()
