"""PostgreSQL: jobs that are pushed in the caller's transaction, and from SQL."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from core.loops import eventually
from psycopg.rows import dict_row
from sqlalchemy import Engine, create_engine
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from jobcore.backend import InvalidArgument, Joins, Push, Pushed, Refused, State, Wakes
from jobcore.backends.postgres import PostgresBackend
from jobcore.testing import ManualClock

PUSHES = [Push("a", b"1"), Push("b", b"2", delay=10**9), Push("a", b"3")]
ANSWERS = [Pushed("a", True, State.READY), Pushed("b", True, State.SCHEDULED), Pushed("a", False, State.READY)]


@pytest.fixture
def engine(postgres_url: str) -> Iterator[Engine]:
    engine = create_engine(postgres_url.replace("postgresql://", "postgresql+psycopg://", 1))
    yield engine
    engine.dispose()


@pytest.fixture
def backend(engine: Engine) -> Iterator[PostgresBackend]:
    backend = PostgresBackend(engine, schema="joins")
    backend.destroy("q")
    yield backend
    backend.destroy("q")
    backend.close()


@contextmanager
def by_connection(engine: Engine) -> Iterator[Any]:
    with engine.connect() as connection:
        yield connection


@contextmanager
def by_session(engine: Engine) -> Iterator[Any]:
    with Session(engine) as session:
        yield session


@contextmanager
def by_psycopg(engine: Engine) -> Iterator[Any]:
    url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, row_factory=dict_row) as connection:
        yield connection


@pytest.mark.parametrize("opening", [by_connection, by_session, by_psycopg])
class TestJoins:
    def test_it_is_there_when_the_caller_commits(
        self, backend: PostgresBackend, engine: Engine, opening: Callable[[Engine], Any]
    ) -> None:
        with opening(engine) as connection:
            assert backend.join(connection, "q", PUSHES) == ANSWERS
            assert backend.counts("q").ready == 0
            connection.commit()
        assert [entry and entry.payload for entry in backend.get("q", ["a", "b"])] == [b"1", b"2"]

    def test_it_never_was_when_the_caller_rolls_back(
        self, backend: PostgresBackend, engine: Engine, opening: Callable[[Engine], Any]
    ) -> None:
        with opening(engine) as connection:
            backend.join(connection, "q", PUSHES)
            connection.rollback()
        assert backend.get("q", ["a", "b"]) == [None, None]

    def test_what_is_known_is_told(
        self, backend: PostgresBackend, engine: Engine, opening: Callable[[Engine], Any]
    ) -> None:
        backend.push("q", [Push("a", b"first")])
        with opening(engine) as connection:
            assert backend.join(connection, "q", [Push("a", b"")]) == [Pushed("a", False, State.READY)]
            connection.commit()
        (entry,) = backend.get("q", ["a"])
        assert entry is not None
        assert entry.payload == b"first"

    @pytest.mark.parametrize("others", [[], [Push("b", b"")]], ids=["alone", "with a new one"])
    def test_what_is_known_is_not_kept_from_workers(
        self, backend: PostgresBackend, engine: Engine, opening: Callable[[Engine], Any], others: list[Push]
    ) -> None:
        backend.push("q", [Push("a", b"first")])
        with opening(engine) as connection:
            backend.join(connection, "q", [Push("a", b""), *others])
            assert claimed(backend) == ["a"]

    def test_an_id_whose_time_of_remembrance_has_passed_is_new(
        self, engine: Engine, opening: Callable[[Engine], Any]
    ) -> None:
        clock = ManualClock()
        backend = PostgresBackend(engine, schema="joins", clock=clock)
        backend.push("q", [Push("a", b"", remember=60)])
        backend.remove("q", ["a"])
        for seconds, answer in [(59, Pushed("a", False, None)), (1, Pushed("a", True, State.READY))]:
            clock.advance(seconds)
            with opening(engine) as connection:
                assert backend.join(connection, "q", [Push("a", b"")]) == [answer]
                connection.commit()
        assert backend.counts("q").ready == 1
        backend.destroy("q")
        backend.close()

    def test_an_aborted_transaction_refuses(
        self, backend: PostgresBackend, engine: Engine, opening: Callable[[Engine], Any]
    ) -> None:
        with opening(engine) as connection:
            raw = (
                connection
                if opening is by_psycopg
                else connection.connection()
                if opening is by_session
                else connection
            )
            with pytest.raises(Exception, match="division by zero"):
                (raw.execute if opening is by_psycopg else raw.exec_driver_sql)("SELECT 1/0")
            with pytest.raises(Refused):
                backend.join(connection, "q", PUSHES)
            connection.rollback()


def claimed(backend: PostgresBackend) -> list[str]:
    """The jobs that a worker gets."""
    return [claim.id for claim in backend.claim("q", 9, 10**6, "me", uuid4().bytes, 10**6).claims]


def test_a_waiter_hears_of_it_after_the_commit(backend: PostgresBackend, engine: Engine) -> None:
    assert isinstance(backend, Wakes)
    assert backend.wait(["q"], 0.01) == set()  # announces itself
    with engine.connect() as connection:
        backend.join(connection, "q", PUSHES)
        assert backend.wait(["q"], 0.05) == set()
        connection.commit()
    assert backend.wait(["q"], 1.0) == {"q"}


def async_url(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=False)


async def in_async_connection(backend: PostgresBackend, engine: Engine, end: str) -> list[Pushed]:
    opened = create_async_engine(async_url(engine))
    async with opened.connect() as connection:
        answer = await backend.ajoin(connection, "q", PUSHES)
        await getattr(connection, end)()
    await opened.dispose()
    return answer


async def in_async_session(backend: PostgresBackend, engine: Engine, end: str) -> list[Pushed]:
    opened = create_async_engine(async_url(engine))
    async with AsyncSession(opened) as session:
        answer = await backend.ajoin(session, "q", PUSHES)
        await getattr(session, end)()
    await opened.dispose()
    return answer


async def in_async_psycopg(backend: PostgresBackend, engine: Engine, end: str) -> list[Pushed]:
    url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    async with await psycopg.AsyncConnection.connect(url) as connection:
        answer = await backend.ajoin(connection, "q", PUSHES)
        await getattr(connection, end)()
    return answer


@pytest.mark.parametrize("joining", [in_async_connection, in_async_session, in_async_psycopg])
@pytest.mark.parametrize(("end", "stored"), [("commit", 1), ("rollback", 0)])
def test_an_async_transaction_decides(
    backend: PostgresBackend, engine: Engine, joining: Callable[..., Any], end: str, stored: int
) -> None:
    assert asyncio.run(joining(backend, engine, end)) == ANSWERS
    assert backend.counts("q").ready == stored


def test_a_scoped_session_is_its_threads(backend: PostgresBackend, engine: Engine) -> None:
    scoped = scoped_session(sessionmaker(engine))
    assert backend.join(scoped, "q", PUSHES) == ANSWERS
    assert backend.counts("q").ready == 0
    scoped.commit()
    scoped.remove()
    assert backend.counts("q").ready == 1


def test_an_async_transaction_that_was_aborted_refuses(backend: PostgresBackend, engine: Engine) -> None:
    async def join() -> None:
        url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        async with await psycopg.AsyncConnection.connect(url) as connection:
            with pytest.raises(psycopg.errors.DivisionByZero):
                await connection.execute("SELECT 1/0")
            with pytest.raises(Refused, match="aborted"):
                await backend.ajoin(connection, "q", PUSHES)
            await connection.rollback()

    asyncio.run(join())


def test_it_joins(backend: PostgresBackend) -> None:
    assert isinstance(backend, Joins)


@pytest.mark.parametrize("connection", [None, "postgresql://", object()])
def test_what_is_no_connection_is_refused(backend: PostgresBackend, connection: object) -> None:
    with pytest.raises(InvalidArgument):
        backend.join(connection, "q", PUSHES)
    with pytest.raises(InvalidArgument):
        asyncio.run(backend.ajoin(connection, "q", PUSHES))


def enqueue(engine: Engine) -> str:
    """Enqueue by the function, and commit."""
    with engine.begin() as connection:
        return str(connection.exec_driver_sql("SELECT joins.enqueue('q', 'J', id => 'mine')").scalar_one())


class TestSql:
    def test_a_function_enqueues(self, backend: PostgresBackend, engine: Engine) -> None:
        backend.counts("q")
        with engine.begin() as connection:
            call = "SELECT joins.enqueue('q', 'SendEmail', '{\"to\": \"a@b.c\"}', priority => 7)"
            id = connection.exec_driver_sql(call).scalar_one()
        claim = backend.claim("q", 1, 10**6, "me", uuid4().bytes, 10**6).claims[0]
        assert (claim.id, claim.priority) == (id, 7)
        assert json.loads(claim.payload) == {"job": "SendEmail", "args": {"to": "a@b.c"}}

    def test_an_id_is_stored_once(self, backend: PostgresBackend, engine: Engine) -> None:
        backend.counts("q")
        for _ in range(2):
            with engine.begin() as connection:
                connection.exec_driver_sql("SELECT joins.enqueue('q', 'J', id => 'mine', delay => '1 hour')")
        assert backend.counts("q").scheduled == 1

    def test_what_is_known_is_not_kept_from_workers(self, backend: PostgresBackend, engine: Engine) -> None:
        backend.push("q", [Push("mine", b"")])
        with engine.begin() as connection:
            connection.exec_driver_sql("SELECT joins.enqueue('q', 'J', id => 'mine')")
            assert claimed(backend) == ["mine"]

    def test_an_id_whose_time_of_remembrance_has_passed_is_new(self, backend: PostgresBackend, engine: Engine) -> None:
        backend.push("q", [Push("mine", b"", remember=60)])
        backend.remove("q", ["mine"])
        enqueue(engine)
        assert backend.counts("q").ready == 0
        with engine.begin() as connection:
            connection.exec_driver_sql("UPDATE joins.jobs SET place = 0")  # all of that time
        enqueue(engine)
        assert backend.counts("q").ready == 1

    def test_an_id_that_is_forgotten_at_that_moment_is_new(self, backend: PostgresBackend, engine: Engine) -> None:
        """Its row is there for the first statement, and gone for the next."""
        backend.push("q", [Push("mine", b"", remember=60)])
        backend.remove("q", ["mine"])
        with engine.connect() as forgetting, ThreadPoolExecutor() as threads:
            forgetting.exec_driver_sql("DELETE FROM joins.jobs")
            enqueued = threads.submit(enqueue, engine)
            with engine.connect() as looking:
                eventually(lambda: looking.exec_driver_sql("SELECT 1 FROM pg_locks WHERE NOT granted").all())
            forgetting.commit()
            assert enqueued.result(20) == "mine"
        assert backend.counts("q").ready == 1

    @pytest.mark.parametrize(
        "arguments",
        [
            "'a b', 'J'",
            "'q', NULL",
            "'q', 'J', '[]'",
            "'q', 'J', priority => 101",
            "'q', 'J', delay => '-1s'",
            "'q', 'J', id => ''",
            "'q', 'J', id => E'a\\nb'",
            "'q', 'J', id => E'\\u0080'",
        ],
    )
    def test_malformed_arguments_are_refused(self, backend: PostgresBackend, engine: Engine, arguments: str) -> None:
        backend.counts("q")
        with pytest.raises(Exception, match=r"InvalidParameterValue"), engine.begin() as connection:
            connection.exec_driver_sql(f"SELECT joins.enqueue({arguments})")
        assert backend.counts("q").ready == 0
