"""Connections of the driver's own, and what is known when a call on one of them fails."""

from __future__ import annotations

import select
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Any, Final, TypeAlias, TypeVar, cast

import psycopg
from psycopg import errors
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row
from psycopg.types.array import ListBinaryDumper
from psycopg.types.numeric import Int8BinaryDumper, Int8Dumper
from sqlalchemy import Engine
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import PoolProxiedConnection, QueuePool

from jobcore.backend import BackendError, Conflict, Opener, QueueClosed, Refused, Unavailable, Uncertain
from jobcore.backends.postgres.watchdog import Watchdog

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]
Cursor: TypeAlias = psycopg.RawCursor[tuple[Any, ...]]
T = TypeVar("T")

_IDLE: Final = 16
_REPEATS: Final = 10

_CONFLICTS: Final = (errors.SerializationFailure, errors.DeadlockDetected)
_SHARED: Final = (errors.DuplicatePreparedStatement, errors.InvalidSqlStatementName)
"""What a server says where a pooler has one session serve several clients that prepare statements."""

# A client that freezes within a transaction must not keep the queue's lock: nobody could settle any more.
# A plan that is kept must not be one that was made for an empty table, nor one that changes with its size.
# The verbs tell who waits by themselves, after their commit and not within it: the triggers leave them alone.
_SETTINGS: Final = """
SELECT set_config('statement_timeout', %(timeout)s, %(local)s),
    set_config('idle_in_transaction_session_timeout', %(timeout)s, %(local)s),
    set_config('plan_cache_mode', 'force_generic_plan', %(local)s),
    set_config('enable_seqscan', 'off', %(local)s),
    set_config('enable_bitmapscan', 'off', %(local)s),
    set_config('enable_hashjoin', 'off', %(local)s),
    set_config('enable_mergejoin', 'off', %(local)s),
    set_config('enable_sort', 'off', %(local)s),
    set_config('jit', 'off', %(local)s),
    set_config('jobcore.quiet', 'on', %(local)s),
    set_config('default_transaction_isolation', 'read committed', %(local)s)
"""


class Connections:
    """A pool of connections in autocommit, opened as the engine opens its own.

    The engine's pool is left alone: its users never wait for us, nor we for them. Ours never waits at all. Each
    connection is kept with a cursor: what psycopg worked out to send a statement, it need not work out again. The last
    one used stays at hand, as to check it in and out again would cost a producer a quarter of a push.

    Attributes:
        timeout: seconds that a call may take.
        prepare: whether sessions are the driver's own, to prepare statements in and to set up.
        renewals: how often all connections were given up, as they led to where nothing can be written.
    """

    def __init__(self, engine: Engine, *, timeout: float, prepare: bool) -> None:
        self._engine = engine
        self.timeout = timeout
        self.prepare = prepare
        self.renewals = 0
        self._closed = False
        self._left_to_parent: list[object] = []
        self._begin()

    def _begin(self) -> None:
        self._source = self._engine.pool.recreate()  # its events and credentials, and none of its connections
        opens = cast("Callable[[], DBAPIConnection]", self.open)
        self._pool = QueuePool(opens, pool_size=_IDLE, max_overflow=-1, reset_on_return=None, use_lifo=True)
        self._at_hand: list[PoolProxiedConnection] = []
        self._watchdog = Watchdog(self.timeout)
        self._opener = Opener(self.timeout)

    def after_fork(self) -> None:
        """Begin anew in a forked child, and neither use nor close what is the parent's."""
        self._left_to_parent += [self._at_hand, self._pool, self._source]
        self._begin()

    def check_open(self) -> None:
        """Raise QueueClosed after `close`."""
        if self._closed:
            raise QueueClosed("this backend was closed")

    def open(self, *, own: bool = True) -> Connection:
        """A new connection that no pool knows: the driver's own, in autocommit, or one as the engine opens them.

        Raises:
            Unavailable: there is none to be had.
        """
        try:
            return self._opener(lambda: self._opened(own=own), lambda connection: connection.close())
        except Exception as error:  # also what an application's engine has before its connections may raise
            raise Unavailable(f"no connection to PostgreSQL: {_said(error)}") from error

    def call(self, work: Callable[[Connection], T]) -> T:
        """As `lend`, for what needs no cursor that was used before."""
        return self.lend(lambda cursor: work(cursor.connection))

    def lend(self, work: Callable[[Cursor], T]) -> T:
        """Do a verb's statements on a connection, which comes with its cursor.

        What was rolled back to resolve a conflict is done again, as nothing of it has happened.

        Raises:
            Unavailable: nothing was sent.
            Uncertain: it was sent, and no answer came in time.
            Refused: the server answered with an error; nothing was committed.
            QueueClosed: `close` was called before.
        """
        for _ in range(_REPEATS):
            try:
                return self._attempt(work)
            except errors.FeatureNotSupported:
                self._dispose()  # prepared before the schema changed: on new connections all is planned anew
            except _CONFLICTS:
                continue
            except Refused as error:
                if isinstance(error.__cause__, errors.ReadOnlySqlTransaction):
                    self._dispose()  # another server may be the one to write to by now, or new sessions may write
                    self.renewals += 1
                raise
        return self._attempt(work, last=True)

    def set(self, connection: Connection, *, local: bool) -> None:
        """Set how statements are planned and bounded: in the transaction only (`local`), or in the session."""
        connection.execute(_SETTINGS, {"timeout": f"{round(self.timeout * 1000)}ms", "local": local})

    def over(self, connection: Connection) -> AbstractContextManager[None]:
        """Watch over work on a connection: it is cut off when that takes too long."""
        return self._watchdog.over(connection)

    def close(self) -> None:
        """Close what idles here; what is in use is closed when it comes back."""
        self._closed = True
        self._dispose()
        self._watchdog.stop()

    def _opened(self, *, own: bool) -> Connection:
        opened = self._source.connect()
        connection = cast("Connection", opened.driver_connection)
        opened.detach()
        try:
            with self.over(connection):
                if own:
                    self._set_up(connection)
                elif not self.prepare:
                    connection.prepare_threshold = None
        except BaseException:
            connection.close()
            raise
        return connection

    def _attempt(self, work: Callable[[Cursor], T], *, last: bool = False) -> T:
        pooled = self._check_out()
        connection = _driven(pooled)
        try:
            self._watchdog.watch(connection)
            return work(_cursor(pooled, connection))
        except psycopg.Error as error:
            if not last and isinstance(error, (*_CONFLICTS, errors.FeatureNotSupported)):
                raise
            raise failure(error, broken=connection.broken) from error
        finally:
            self._watchdog.leave(connection)
            self._check_in(pooled, connection)

    def _check_out(self) -> PoolProxiedConnection:
        """A connection that was not cut off while it idled: on one that was, all calls would end uncertain."""
        while True:
            self.check_open()
            try:
                pooled = self._at_hand.pop()
            except IndexError:
                pooled = self._pool.connect()
            if not has_input(_driven(pooled)):
                return pooled
            pooled.invalidate()

    def _check_in(self, pooled: PoolProxiedConnection, connection: Connection) -> None:
        if connection.pgconn.transaction_status != TransactionStatus.IDLE:
            pooled.invalidate()
        elif self._at_hand:
            pooled.close()
        else:
            self._at_hand.append(pooled)
        if self._closed:
            self._dispose()

    def _dispose(self) -> None:
        """Close what idles; what is in use comes back."""
        while self._at_hand:
            with suppress(IndexError):  # another thread took it
                self._at_hand.pop().close()
        self._pool.dispose()

    def _set_up(self, connection: Connection) -> None:
        connection.rollback()
        connection.autocommit = True
        connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        connection.read_only = None
        connection.row_factory = tuple_row
        connection.prepare_threshold = 0 if self.prepare else None
        # One width for all integers, since a prepared statement belongs to its parameters' types.
        connection.adapters.register_dumper(int, Int8Dumper)
        connection.adapters.register_dumper(int, Int8BinaryDumper)
        connection.adapters.register_dumper(list, ListBinaryDumper)  # numbered parameters can't ask for it
        if self.prepare:
            self.set(connection, local=False)


def _driven(pooled: PoolProxiedConnection) -> Connection:
    return cast("Connection", pooled.dbapi_connection)  # no dialect stands between: `open` gave it to the pool


def _cursor(pooled: PoolProxiedConnection, connection: Connection) -> Cursor:
    """The cursor that a connection of the pool is kept with."""
    kept: Cursor | None = pooled.info.get("cursor")
    if kept is None:
        kept = pooled.info["cursor"] = Cursor(connection)
    return kept


def failure(error: Exception, *, broken: bool) -> BackendError:
    """What a caller may know after an error in a call: the server said no, or it said nothing.

    What goes wrong with a line is not always seen as its end: a pipeline that was cut "can't be exited". Such an error
    has no code, as only the server gives those.
    """
    cause = getattr(error, "orig", error)  # SQLAlchemy wraps what the driver raised
    unsaid = isinstance(cause, psycopg.OperationalError) and cause.sqlstate is None
    if broken or unsaid or isinstance(cause, errors.StatementCompletionUnknown):
        return Uncertain(f"the connection to PostgreSQL broke during a call: {_said(error)}")
    kind = Conflict if isinstance(cause, _CONFLICTS) else Refused
    return kind(f"PostgreSQL refused: {_said(error)}")


def has_input(connection: Connection) -> bool:
    """Whether the server has said something that was not asked for: most likely goodbye."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _said(error: BaseException) -> str:
    said = " ".join(str(error).split()) or type(error).__name__
    shared = isinstance(getattr(error, "orig", error), _SHARED)
    return said + ": behind a pooler in transaction mode a URL needs ?prepare=off&notify=off" * shared
