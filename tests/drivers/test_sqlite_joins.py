"""The SQLite driver in the application's own transaction."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from jobcore.backend import InvalidArgument, Joins, Push, QueueClosed, Refused, State, Unavailable
from jobcore.backends.sqlite import SqliteBackend
from jobcore.testing import ManualClock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "application.db"


@pytest.fixture
def backend(path: Path) -> Iterator[SqliteBackend]:
    made = SqliteBackend(path, clock=ManualClock(), synchronous="NORMAL", timeout=0.5)
    yield made
    made.close()


@pytest.fixture
def fresh(path: Path) -> Iterator[sqlite3.Connection]:
    """To a file that no backend has been at yet."""
    connection = sqlite3.connect(path, timeout=0)
    connection.execute("CREATE TABLE orders (n INTEGER)")
    yield connection
    connection.close()


@pytest.fixture
def db(fresh: sqlite3.Connection, backend: SqliteBackend) -> sqlite3.Connection:
    backend.counts("q")  # this makes the tables, and switches to write-ahead logging
    return fresh


@pytest.fixture
def engine(path: Path, db: sqlite3.Connection) -> Iterator[sqlalchemy.Engine]:
    made = sqlalchemy.create_engine(f"sqlite:///{path}")
    yield made
    made.dispose()


def orders(path: Path) -> int:
    db = sqlite3.connect(path)
    (rows,) = db.execute("SELECT count(*) FROM orders").fetchone()
    db.close()
    return int(rows)


ORDER = "INSERT INTO orders VALUES (1)"


class TestSqlite3:
    def test_a_push_stands_with_the_transaction(self, backend: SqliteBackend, db: sqlite3.Connection) -> None:
        assert isinstance(backend, Joins)
        db.execute(ORDER)
        pushed = backend.join(db, "q", [Push("a", b"p", priority=3, delay=5), Push("b", b"")])
        assert [(one.id, one.created, one.state) for one in pushed] == [
            ("a", True, State.SCHEDULED),
            ("b", True, State.READY),
        ]
        assert backend._file.read(lambda own: own.execute("SELECT count(*) FROM orders").fetchone()) == (0,)
        db.commit()
        (entry,) = backend.get("q", ["a"])
        assert entry is not None
        assert (entry.payload, entry.priority, entry.place) == (b"p", 3, entry.pushed_at + 5)

    def test_a_push_falls_with_the_transaction(
        self, backend: SqliteBackend, db: sqlite3.Connection, path: Path
    ) -> None:
        db.execute(ORDER)
        backend.join(db, "q", [Push("a", b"")])
        db.rollback()
        assert (orders(path), backend.get("q", ["a"])) == (0, [None])

    @pytest.mark.parametrize("level", [None, "DEFERRED", "IMMEDIATE"])
    def test_a_transaction_is_begun_if_none_is(
        self, backend: SqliteBackend, db: sqlite3.Connection, level: Any
    ) -> None:
        db.isolation_level = level
        backend.join(db, "q", [Push("a", b"")])
        assert db.in_transaction
        db.rollback()
        assert backend.get("q", ["a"]) == [None]
        backend.join(db, "q", [Push("a", b"")])
        db.commit()
        assert backend.counts("q").ready == 1

    def test_ids_that_are_known_are_told(self, backend: SqliteBackend, db: sqlite3.Connection) -> None:
        backend.push("q", [Push("a", b"first"), Push("gone", b"", remember=9)])
        backend.remove("q", ["gone"])
        db.row_factory, db.text_factory = sqlite3.Row, bytes
        pushed = backend.join(db, "q", [Push("a", b"second"), Push("gone", b"")])
        assert [(one.created, one.state) for one in pushed] == [(False, State.READY), (False, None)]
        assert (db.row_factory, db.text_factory) == (sqlite3.Row, bytes)

    def test_a_push_that_fails_undoes_itself_alone(
        self, backend: SqliteBackend, db: sqlite3.Connection, path: Path
    ) -> None:
        db.execute(ORDER)
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 10_000)
        with pytest.raises(Refused):
            backend.join(db, "q", [Push("a", b""), Push("b", bytes(20_000))])
        db.commit()
        assert (orders(path), backend.get("q", ["a", "b"])) == (1, [None, None])

    def test_what_has_read_before_another_wrote_is_told_to_begin_anew(
        self, backend: SqliteBackend, db: sqlite3.Connection
    ) -> None:
        db.execute("BEGIN")
        db.execute("SELECT * FROM orders").fetchall()
        backend.push("q", [Push("other", b"")])
        with pytest.raises(Unavailable, match="begin it anew"):
            backend.join(db, "q", [Push("a", b"")])
        db.rollback()
        backend.join(db, "q", [Push("a", b"")])

    def test_the_lock_of_another_is_told(self, backend: SqliteBackend, db: sqlite3.Connection, path: Path) -> None:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="is writing"):
            backend.join(db, "q", [Push("a", b"")])
        other.close()

    def test_the_tables_come_with_the_first_push(
        self, backend: SqliteBackend, fresh: sqlite3.Connection, path: Path
    ) -> None:
        fresh.execute(ORDER)
        backend.join(fresh, "q", [Push("a", b"")])
        fresh.commit()
        assert (orders(path), backend.counts("q").ready) == (1, 1)

    def test_a_waiter_hears_of_the_commit(self, backend: SqliteBackend, db: sqlite3.Connection) -> None:
        version = backend._file.version()
        backend.join(db, "q", [Push("a", b"")])
        assert backend._file.version() == version
        db.commit()
        assert backend._file.version() != version
        assert backend.wait(["q"], 1.0) == {"q"}

    @pytest.mark.parametrize("other", [":memory:", "other.db"])
    def test_another_file_is_refused_and_not_touched(self, backend: SqliteBackend, path: Path, other: str) -> None:
        backend.counts("q")
        stranger = sqlite3.connect(other if other == ":memory:" else path.parent / other)
        with pytest.raises(InvalidArgument, match="the queue's jobs are in"):
            backend.join(stranger, "q", [Push("a", b"")])
        assert not stranger.in_transaction
        assert stranger.execute("SELECT name FROM sqlite_schema").fetchall() == []
        stranger.close()

    @pytest.mark.parametrize("thing", [None, "sqlite:///a.db", object()])
    def test_what_is_no_connection_is_refused(self, backend: SqliteBackend, thing: object) -> None:
        with pytest.raises(InvalidArgument, match=r"connection= takes a sqlite3\.Connection"):
            backend.join(thing, "q", [Push("a", b"")])

    def test_a_closed_backend_and_a_bad_push_are_refused(self, backend: SqliteBackend, db: sqlite3.Connection) -> None:
        with pytest.raises(InvalidArgument):
            backend.join(db, "q", [Push("", b"")])
        backend.close()
        with pytest.raises(QueueClosed):
            backend.join(db, "q", [Push("a", b"")])
        assert not db.in_transaction


class TestSqlalchemy:
    def test_a_connection(self, backend: SqliteBackend, engine: sqlalchemy.Engine, path: Path) -> None:
        for end, there in (("rollback", 0), ("commit", 1)):
            with engine.connect() as connection:
                connection.execute(sqlalchemy.text(ORDER))
                assert backend.join(connection, "q", [Push("a", b"")])[0].created
                getattr(connection, end)()
            assert (orders(path), backend.counts("q").ready) == (there, there)

    def test_a_connection_that_has_done_nothing_yet(self, backend: SqliteBackend, engine: sqlalchemy.Engine) -> None:
        for end, there in (("rollback", 0), ("commit", 1)):
            with engine.connect() as connection:
                backend.join(connection, "q", [Push("a", b"")])
                getattr(connection, end)()
            assert backend.counts("q").ready == there

    @pytest.mark.parametrize("kind", [sessionmaker, lambda engine: scoped_session(sessionmaker(engine))])
    def test_a_session(
        self, backend: SqliteBackend, engine: sqlalchemy.Engine, path: Path, kind: Callable[[Any], Any]
    ) -> None:
        make = kind(engine)
        session = make() if kind is sessionmaker else make
        session.execute(sqlalchemy.text(ORDER))
        backend.join(session, "q", [Push("a", b"")])
        session.rollback()
        assert (orders(path), backend.counts("q").ready) == (0, 0)
        backend.join(session, "q", [Push("a", b"")])
        session.execute(sqlalchemy.text(ORDER))
        session.commit()
        session.close()
        assert (orders(path), backend.counts("q").ready) == (1, 1)

    def test_a_push_that_fails_undoes_itself_alone(
        self, backend: SqliteBackend, engine: sqlalchemy.Engine, path: Path
    ) -> None:
        with Session(engine) as session:
            session.execute(sqlalchemy.text(ORDER))
            driver = session.connection().connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            driver.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 10_000)
            with pytest.raises(Refused):
                backend.join(session, "q", [Push("a", b""), Push("b", bytes(20_000))])
            session.commit()
        assert (orders(path), backend.get("q", ["a", "b"])) == (1, [None, None])

    def test_an_async_connection_is_joined_through_its_own_bridge(
        self, backend: SqliteBackend, engine: sqlalchemy.Engine
    ) -> None:
        class Bridge:
            """What an `AsyncConnection` gives a synchronous function: the connection that it wraps."""

            async def run_sync(self, function: Callable[..., Any], *arguments: Any) -> Any:
                return function(connection, *arguments)

        with engine.connect() as connection:
            pushed = asyncio.run(backend.ajoin(Bridge(), "q", [Push("a", b"")]))
            connection.commit()
        assert pushed[0].created
        assert backend.counts("q").ready == 1

    def test_what_is_not_async_is_refused_there(self, backend: SqliteBackend, db: sqlite3.Connection) -> None:
        with pytest.raises(InvalidArgument, match="AsyncSession"):
            asyncio.run(backend.ajoin(db, "q", [Push("a", b"")]))

    def test_it_is_not_imported_for_others(self, path: Path) -> None:
        program = (
            "import sqlite3, sys; from jobcore.backends.sqlite import SqliteBackend; from jobcore.backend import Push;"
            "db = sqlite3.connect(sys.argv[1]); SqliteBackend(sys.argv[1]).join(db, 'q', [Push('a', b'')]);"
            "sys.exit('sqlalchemy' in sys.modules)"
        )
        subprocess.run([sys.executable, "-c", program, path], check=True)
