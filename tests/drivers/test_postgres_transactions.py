"""PostgreSQL: a job's own writes commit with its success, fenced by its token."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from core.loops import Told, eventually, running, states
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from jobcore import ExceptionBehavior, JobContext, Queue, Worker
from jobcore.backend import (
    Answer,
    Claim,
    ConfigurationError,
    InvalidArgument,
    Keep,
    Push,
    QueueClosed,
    Refused,
    Succeed,
    Transacts,
    Unavailable,
    Uncertain,
)
from jobcore.backends.postgres import PostgresBackend
from jobcore.events import Kind

LEASE = 60_000_000
NONE_KEPT = Keep()


@pytest.fixture
def engine(postgres_url: str) -> Iterator[Engine]:
    engine = create_engine(postgres_url.replace("postgresql://", "postgresql+psycopg://", 1))
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS rows; CREATE TABLE rows (word text PRIMARY KEY)"))
    yield engine
    engine.dispose()


@pytest.fixture
def backend(engine: Engine) -> Iterator[PostgresBackend]:
    backend = PostgresBackend(engine, schema="transactions")
    backend.destroy("q")
    yield backend
    backend.destroy("q")
    backend.close()


def rows(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return [*connection.scalars(text("SELECT word FROM rows ORDER BY word"))]


def write(connection: Connection, word: str) -> None:
    connection.execute(text("INSERT INTO rows VALUES (:word)"), {"word": word})


def take(backend: PostgresBackend, id: str = "a") -> Claim:
    backend.push("q", [Push(id, b"{}")])
    (claim,) = backend.claim("q", 1, LEASE, "me", uuid4().bytes, 1).claims
    return claim


def take_over(backend: PostgresBackend) -> Claim:
    """Take the one running job over, as a monitor does once its holder is known to be dead."""
    (claim,) = backend.reclaim("q", 1, LEASE, "other", uuid4().bytes, "me")
    return claim


class TestCommit:
    def test_what_was_written_and_the_success_are_one(self, backend: PostgresBackend, engine: Engine) -> None:
        claim = take(backend)
        transaction = backend.transact("q")
        write(transaction.connection, "a")
        assert (rows(engine), backend.counts("q").running) == ([], 1)
        assert transaction.commit(claim.hold, Succeed(), NONE_KEPT) is Answer.DONE
        assert (rows(engine), backend.get("q", ["a"])) == (["a"], [None])

    def test_a_kept_success_has_its_value_and_keeps_the_cap(self, backend: PostgresBackend) -> None:
        for id in "abc":
            transaction = backend.transact("q")
            assert transaction.commit(take(backend, id).hold, Succeed(id.encode()), Keep(succeeded=2)) is Answer.DONE
        assert [entry and entry.value for entry in backend.get("q", [*"abc"])] == [None, b"b", b"c"]

    def test_a_job_that_was_taken_over_writes_nothing(self, backend: PostgresBackend, engine: Engine) -> None:
        claim = take(backend)
        transaction = backend.transact("q")
        write(transaction.connection, "stale")
        newer = take_over(backend)
        assert transaction.commit(claim.hold, Succeed(), NONE_KEPT) is Answer.LOST
        again = backend.transact("q")
        write(again.connection, "fresh")
        assert again.commit(newer.hold, Succeed(), NONE_KEPT) is Answer.DONE
        assert rows(engine) == ["fresh"]

    def test_nothing_is_kept_from_others_before_it(self, backend: PostgresBackend) -> None:
        """A transaction that is open, and has written, holds up no verb: neither on its own job nor on others."""
        claim = take(backend)
        transaction = backend.transact("q")
        write(transaction.connection, "a")
        assert backend.extend("q", [claim.hold], LEASE) == [Answer.HELD]
        assert backend.settle("q", [(take(backend, "b").hold, Succeed())], Keep(succeeded=1)) == [Answer.DONE]
        assert transaction.commit(claim.hold, Succeed(), Keep(succeeded=1)) is Answer.DONE

    def test_a_lease_that_is_extended_meanwhile_does_no_harm(self, backend: PostgresBackend, engine: Engine) -> None:
        """The row of the job has changed since the transaction began: at a higher isolation level that would fail it."""
        claim = take(backend)
        transaction = backend.transact("q")
        write(transaction.connection, "a")
        backend.extend("q", [claim.hold], LEASE)
        assert transaction.commit(claim.hold, Succeed(), NONE_KEPT) is Answer.DONE
        assert rows(engine) == ["a"]

    def test_a_job_enqueued_on_it_is_there_with_it(self, backend: PostgresBackend) -> None:
        claim = take(backend)
        transaction = backend.transact("q")
        backend.join(transaction.connection, "q", [Push("next", b"{}")])
        assert backend.counts("q").ready == 0
        transaction.commit(claim.hold, Succeed(), NONE_KEPT)
        assert backend.counts("q").ready == 1

    def test_savepoints_are_the_jobs_own(self, backend: PostgresBackend, engine: Engine) -> None:
        claim = take(backend)
        transaction = backend.transact("q")
        write(transaction.connection, "a")
        with pytest.raises(Exception, match="UniqueViolation"), transaction.connection.begin_nested():
            write(transaction.connection, "a")
        write(transaction.connection, "b")
        assert transaction.commit(claim.hold, Succeed(), NONE_KEPT) is Answer.DONE
        assert rows(engine) == ["a", "b"]

    def test_an_orm_session_on_it_commits_only_into_it(self, backend: PostgresBackend, engine: Engine) -> None:
        claim = take(backend)
        transaction = backend.transact("q")
        with Session(transaction.connection) as session:
            session.add(WordRow(word="a"))
            session.commit()
        assert rows(engine) == []
        assert transaction.commit(claim.hold, Succeed(), NONE_KEPT) is Answer.DONE
        assert rows(engine) == ["a"]

    def test_a_transaction_that_failed_is_not_committed(self, backend: PostgresBackend, engine: Engine) -> None:
        """What the job caught without a savepoint, PostgreSQL does not forgive."""
        claim = take(backend)
        transaction = backend.transact("q")
        write(transaction.connection, "a")
        with pytest.raises(Exception, match="UniqueViolation"):
            write(transaction.connection, "a")
        with pytest.raises(Refused, match="current transaction is aborted"):
            transaction.commit(claim.hold, Succeed(), NONE_KEPT)
        assert (rows(engine), backend.counts("q").running) == ([], 1)

    def test_a_constraint_that_is_checked_at_the_commit_refuses_it(
        self, backend: PostgresBackend, engine: Engine
    ) -> None:
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE rows ADD UNIQUE (word) DEFERRABLE INITIALLY DEFERRED"))
            connection.execute(text("ALTER TABLE rows DROP CONSTRAINT rows_pkey"))
        claim = take(backend)
        transaction = backend.transact("q")
        write(transaction.connection, "a")
        write(transaction.connection, "a")
        with pytest.raises(Refused, match="duplicate key"):
            transaction.commit(claim.hold, Succeed(), NONE_KEPT)
        assert (rows(engine), backend.counts("q").running) == ([], 1)

    def test_malformed_arguments_are_refused(self, backend: PostgresBackend) -> None:
        with pytest.raises(InvalidArgument):
            backend.transact("no queue")
        transaction = backend.transact("q")
        with pytest.raises(InvalidArgument):
            transaction.commit(take(backend).hold, Succeed(), Keep(succeeded=-1))
        transaction.rollback()


class Base(DeclarativeBase):
    pass


class WordRow(Base):
    __tablename__ = "rows"
    word: Mapped[str] = mapped_column(primary_key=True)


def test_it_transacts(backend: PostgresBackend) -> None:
    assert isinstance(backend, Transacts)


def test_a_rollback_undoes_and_changes_nothing(backend: PostgresBackend, engine: Engine) -> None:
    claim = take(backend)
    transaction = backend.transact("q")
    write(transaction.connection, "a")
    transaction.rollback()
    assert (rows(engine), backend.counts("q").running) == ([], 1)
    assert backend.settle("q", [(claim.hold, Succeed())], NONE_KEPT) == [Answer.DONE]
