"""The driver: each verb checks its arguments, runs the statement of its name, and tells what the rows say."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from typing import Any, Final
from weakref import WeakSet

from sqlalchemy import Engine

from jobcore.backend import (
    Answer,
    Claim,
    Claimed,
    Clock,
    ConfigurationError,
    Counts,
    Entry,
    Finding,
    Hold,
    Keep,
    Outcome,
    Page,
    Push,
    Pushed,
    State,
    check_claim,
    check_extend,
    check_id,
    check_peek,
    check_push,
    check_queue,
    check_reclaim,
    check_settle,
)
from jobcore.backends.postgres import joining, rows
from jobcore.backends.postgres.claiming import Claiming
from jobcore.backends.postgres.database import Database
from jobcore.backends.postgres.diagnosis import findings, queues, read_facts
from jobcore.backends.postgres.listing import peek
from jobcore.backends.postgres.operating import operate
from jobcore.backends.postgres.pushing import joined, push
from jobcore.backends.postgres.schema import script
from jobcore.backends.postgres.settling import Settling
from jobcore.backends.postgres.statements import Statements
from jobcore.backends.postgres.transacting import Transacting
from jobcore.backends.postgres.transaction import JobTransaction
from jobcore.backends.postgres.waiting import Waiting

_ALL: Final[WeakSet[PostgresBackend]] = WeakSet()


class PostgresBackend:
    """A `Backend` in a PostgreSQL database, 13 or newer, with `Wakes`, `Joins` and `Transacts`.

    Args:
        engine: a SQLAlchemy engine over psycopg 3. Connections are opened as it opens its own, but into a pool of
            this object's; otherwise the engine is neither used nor closed.
        schema: where the tables are; made at the first use.
        clock: what tells the time; the server's clock unless given.
        timeout: seconds that a verb may take.
        notify: whether `wait` listens for notifications, or only looks again each second.
        prepare: whether statements are prepared. Without, no verb leaves anything in its session: for poolers.
        check_triggers: seconds between looks at the triggers by which other programs' jobs wake; not with `notify` off.

    Raises:
        ConfigurationError: the engine is of another driver, or the schema's name can't be used.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        schema: str = "jobcore",
        clock: Clock | None = None,
        timeout: float = 10.0,
        notify: bool = True,
        prepare: bool = True,
        check_triggers: float = 60.0,
    ) -> None:
        if engine.dialect.driver != "psycopg":
            raise ConfigurationError(f"the engine is to be over psycopg (postgresql+psycopg://), not {engine.driver}")
        self._database = Database(engine, Statements(schema), clock, timeout, prepare=prepare)
        self._claiming = Claiming(self._database)
        self._settling = Settling(self._database)
        self._transacting = Transacting(engine, self._database, self._settling)
        self._waiting = Waiting(self._database, clock, notify=notify, check_triggers=check_triggers)
        _ALL.add(self)

    @property
    def polls(self) -> bool:
        """See `Wakes`: with `notify` off, who waits looks again each second."""
        return not self._waiting.notify

    def after_fork(self) -> None:
        """Called in a forked child: go on with connections of its own, and leave its parent's alone."""
        self._database.connections.after_fork()
        self._transacting.after_fork()
        self._waiting.after_fork()

    def push(self, queue: str, pushes: Sequence[Push]) -> list[Pushed]:
        """See `Backend.push`."""
        check_push(queue, pushes)
        self._database.make()
        return push(self._database, queue, pushes)

    def claim(self, queue: str, limit: int, lease: int, holder: str, call: bytes, max_bytes: int) -> Claimed:
        """See `Backend.claim`."""
        check_claim(queue, limit, lease, holder, call, max_bytes)
        asked = {"jobs": limit, "lease": lease, "holder": holder, "call": call, "max_bytes": max_bytes}
        return self._claiming.claim(queue, asked)

    def reclaim(
        self, queue: str, limit: int, lease: int, holder: str, call: bytes, of: str | None = None
    ) -> list[Claim]:
        """See `Backend.reclaim`."""
        check_reclaim(queue, limit, lease, holder, call, of)
        asked = {"queue": queue, "jobs": limit, "lease": lease, "holder": holder, "call": call, "of": of}
        return rows.claims(self._database.run("reclaim", asked))

    def extend(self, queue: str, holds: Sequence[Hold], lease: int) -> list[Answer]:
        """See `Backend.extend`."""
        check_extend(queue, holds, lease)
        first = rows.first_positions(holds)
        moved: dict[int, bool] = dict(
            self._database.run("extend", {"queue": queue, "lease": lease, **rows.hold_arrays(first)})
        )
        answers = {True: Answer.HELD, False: Answer.BUSY, None: Answer.LOST}
        return [answers[moved.get(first[hold])] for hold in holds]

    def settle(self, queue: str, settlements: Sequence[tuple[Hold, Outcome]], keep: Keep) -> list[Answer]:
        """See `Backend.settle`."""
        check_settle(queue, settlements, keep)
        return self._settling.settle(queue, settlements, keep)

    def peek(self, queue: str, state: State, limit: int, after: str | None = None) -> Page:
        """See `Backend.peek`."""
        check_peek(queue, limit)
        return peek(self._database, queue, state, limit, after)

    def get(self, queue: str, ids: Sequence[str]) -> list[Entry | None]:
        """See `Backend.get`."""
        _check_ids(queue, ids)
        found = self._database.run("get", {"queue": queue, "ids": sorted({*ids})})
        entries = {row[0]: rows.entry(row) for row in found}
        return [entries.get(id) for id in ids]

    def counts(self, queue: str) -> Counts:
        """See `Backend.counts`."""
        check_queue(queue)
        return Counts(*self._database.run("counts", {"queue": queue})[0])

    def redrive(self, queue: str, ids: Sequence[str]) -> list[Answer]:
        """See `Backend.redrive`."""
        _check_ids(queue, ids)
        return operate(self._database, "redrive", queue, ids, again=Answer.WRONG_STATE)

    def remove(self, queue: str, ids: Sequence[str]) -> list[Answer]:
        """See `Backend.remove`."""
        _check_ids(queue, ids)
        return operate(self._database, "remove", queue, ids, again=Answer.MISSING)

    def destroy(self, queue: str) -> None:
        """See `Backend.destroy`."""
        check_queue(queue)
        # Twice: a settlement that the first waited for deletes a row and puts what it remembers into another.
        self._database.run_alone("destroy", {"queue": queue}, lambda _: [("destroy", {})])

    def close(self) -> None:
        """See `Backend.close`. The engine stays open; it is its owner's."""
        self._database.connections.close()
        self._transacting.close()
        self._waiting.close()

    def unmade(self) -> str | None:
        """See `Makes.unmade`."""
        there = self._database.is_there()
        return None if there else f"there are no tables in the schema {self._database.statements.schema!r} yet"

    def diagnose(self) -> list[Finding]:
        """See `Diagnoses.diagnose`. A schema that is not there yet is not made."""
        return list(findings(read_facts(self._database, notify=self._waiting.notify)))

    def queues(self) -> list[str]:
        """See `Diagnoses.queues`."""
        return queues(self._database)

    def wait(self, queues: Collection[str], timeout: float) -> set[str]:
        """See `Wakes.wait`."""
        for queue in queues:
            check_queue(queue)
        due = self._waiting.wait(queues, timeout, {queue for queue in queues if self._claiming.barred(queue)})
        for queue in due:
            self._claiming.expect(queue)
        return due

    def join(self, connection: Any, queue: str, pushes: Sequence[Push]) -> list[Pushed]:
        """See `Joins.join`: for a SQLAlchemy `Connection` or `Session` and for a psycopg `Connection`."""
        check_push(queue, pushes)
        return joining.join(self._database, connection, joined(queue, pushes))

    async def ajoin(self, connection: Any, queue: str, pushes: Sequence[Push]) -> list[Pushed]:
        """See `Joins.ajoin`: for SQLAlchemy's `AsyncConnection` and `AsyncSession`, psycopg's `AsyncConnection`."""
        check_push(queue, pushes)
        return await joining.ajoin(self._database, connection, joined(queue, pushes))

    def transact(self, queue: str, timeout: int | None = None) -> JobTransaction:
        """See `Transacts.transact`: for a SQLAlchemy `Connection`."""
        check_queue(queue)
        return self._transacting.begin(queue, timeout)

    def missing(self) -> list[str]:
        """See `Migrates.missing`. Raises Refused if the schema is one that this version can't work with."""
        return [str(step) for step in self._database.missing()]

    def migrate(self) -> list[str]:
        """See `Migrates.migrate`."""
        return [str(step) for step in self._database.migrate()]

    def script(self, since: int | None = None) -> str:
        """See `Migrates.script`: for psql."""
        known = self._database.statements
        steps = self._database.missing() if since is None else [step for step in known.steps if step.number > since]
        return script(known, steps)


def _check_ids(queue: str, ids: Sequence[str]) -> None:
    check_queue(queue)
    for id in ids:
        check_id(id)


def _after_fork() -> None:
    for backend in list(_ALL):
        backend.after_fork()


os.register_at_fork(after_in_child=_after_fork)
