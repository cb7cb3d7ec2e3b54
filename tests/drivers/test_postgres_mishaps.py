"""What goes wrong in PostgreSQL's driver at moments that can't be waited for, brought about by hand."""

from __future__ import annotations

import itertools
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from types import SimpleNamespace
from typing import Any, NoReturn

import psycopg
import pytest
from core.loops import few_threads, pause, running
from psycopg.errors import DeadlockDetected, FeatureNotSupported

from jobcore import Queue, Worker
from jobcore.backend import Claimed, Push, Refused, Unavailable
from jobcore.backends.postgres import PostgresBackend, connect
from jobcore.backends.postgres.claiming import Claiming
from jobcore.backends.postgres.connections import Connection
from jobcore.backends.postgres.listener import Listener
from jobcore.backends.postgres.marks import Marks
from jobcore.backends.postgres.triggers import Triggers

PATIENCE = 30.0
TWO = [Push("a", b""), Push("b", b"")]
_numbers = itertools.count()


@pytest.fixture
def backend(postgres_url: str) -> Iterator[PostgresBackend]:
    schema = f"mishaps_{os.getpid()}_{next(_numbers)}"
    with closing(connect(f"{postgres_url}?schema={schema}")) as backend:
        yield backend
    with psycopg.connect(postgres_url) as connection:
        connection.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')


def test_a_conflict_is_tried_ten_times_and_once_more(backend: PostgresBackend) -> None:
    tries: list[int] = []

    def collide(connection: Connection) -> NoReturn:
        tries.append(connection.info.backend_pid)
        raise DeadlockDetected("too many cooks")

    with pytest.raises(Refused, match="too many cooks"):
        backend._database.connections.call(collide)
    assert len(tries) == 11
    assert len(set(tries)) == 1  # there is nothing wrong with the connection


def test_what_was_prepared_before_the_schema_changed_is_planned_anew_on_another_connection(
    backend: PostgresBackend,
) -> None:
    used: list[Connection] = []

    def answer(connection: Connection) -> str:
        used.append(connection)
        if len(used) == 1:
            raise FeatureNotSupported("cached plan must not change result type")
        return "planned"

    assert backend._database.connections.call(answer) == "planned"
    assert [connection.closed for connection in used] == [True, False]


def test_a_connection_that_is_in_use_at_the_close_is_closed_afterwards(backend: PostgresBackend) -> None:
    used: list[Connection] = []

    def close(connection: Connection) -> None:
        used.append(connection)
        backend.close()
        assert not connection.closed

    backend._database.connections.call(close)
    assert used[0].closed


def test_a_connection_that_can_not_be_set_up_is_closed(
    backend: PostgresBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Connection] = []

    def refuse(connection: Connection, *, local: bool) -> NoReturn:
        opened.append(connection)
        raise psycopg.OperationalError(f"no setting can be changed here, local or not ({local})")

    monkeypatch.setattr(backend._database.connections, "set", refuse)
    with pytest.raises(Unavailable, match="no setting can be changed"):
        backend.counts("q")
    assert [connection.closed for connection in opened] == [True]


def test_tables_that_somebody_dropped_refuse_a_call_and_are_made_by_the_next(backend: PostgresBackend) -> None:
    backend.push("q", TWO)
    schema = backend._database.statements.schema
    backend._database.connections.call(lambda c: c.execute(f'DROP SCHEMA "{schema}" CASCADE'.encode()))
    with pytest.raises(Refused, match="does not exist"):
        backend.push("q", TWO)
    assert [pushed.created for pushed in backend.push("q", TWO)] == [True, True]


def test_where_no_step_is_missing_the_script_says_so(backend: PostgresBackend) -> None:
    backend.migrate()
    assert backend.script() == "-- No step is missing.\n"


def test_a_claim_that_knows_less_than_another_leaves_its_knowledge(backend: PostgresBackend) -> None:
    """Two threads claimed by the same marks; the one that ends last has seen fewer returns."""
    claiming, before = Claiming(backend._database), Marks(seen=3, lows={0: (900, 0)})
    claiming._marks["q"] = Marks(seen=5, lows={0: (500, 0)})
    claiming._learn("q", before, (1000, None, False, 4, [(0, 700)], 1, None), [])
    assert claiming._marks["q"] == Marks(seen=5, lows={0: (500, 0)})
    claiming._learn("q", before, (1000, None, False, 6, [(0, 300)], 1, None), [])
    assert claiming._marks["q"] == Marks(seen=6, lows={0: (300, 0)})


def test_transactions_do_not_go_where_nothing_can_be_written(backend: PostgresBackend) -> None:
    """What the verbs have found out holds for jobs' transactions too: their connections are given up as well."""
    pids = []
    for renewals in (0, 0, 1):
        backend._database.connections.renewals = renewals
        transaction = backend.transact("q")
        pids.append(transaction.connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
        transaction.rollback()
    assert pids[0] == pids[1] != pids[2]


def test_a_listener_survives_what_nobody_foresaw(caplog: pytest.LogCaptureFixture) -> None:
    again = threading.Event()

    def fail() -> NoReturn:
        if caplog.records:
            again.set()
        raise ZeroDivisionError

    connections: Any = SimpleNamespace(open=fail)
    listener = Listener(connections, "channel", print, print)
    with caplog.at_level(logging.ERROR, "jobcore"):
        assert not listener.listens(0.0)
        assert again.wait(PATIENCE)
    listener.stop()
    assert "unforeseen error of the listener" in caplog.text


def test_triggers_that_can_not_be_looked_at_are_looked_at_again_soon() -> None:
    def run(stem: str, parameters: dict[str, Any]) -> NoReturn:
        raise Unavailable(f"{stem} {parameters}")

    database: Any = SimpleNamespace(run=run)
    triggers = Triggers(database, interval=3600.0)
    triggers.look()
    assert triggers._due < time.monotonic() + 60.0


@pytest.mark.parametrize("missing", ["jobcore-postgres-listener", "jobcore-postgres-watchdog"])
def test_a_thread_that_could_not_start_is_started_by_the_next_call(
    missing: str, backend: PostgresBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    few_threads(monkeypatch, missing, 1)
    with pytest.raises((RuntimeError, Unavailable), match="thread"):
        backend.wait(["q"], 0)
    backend.wait(["q"], 0)
    assert missing in {thread.name for thread in threading.enumerate()}


def test_a_job_that_somebody_has_locked_is_not_asked_for_over_and_over(
    backend: PostgresBackend, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims, claim = list[str](), backend.claim

    def counted(queue: str, *given: Any) -> Claimed:
        claims.append(queue)
        return claim(queue, *given)

    monkeypatch.setattr(backend, "claim", counted)
    queue: Queue[None] = Queue("q", backend)
    ran = threading.Event()
    queue.job(ran.set, name="job").enqueue()
    with psycopg.connect(postgres_url) as other:
        other.execute(f"SELECT FROM {backend._database.statements.schema}.jobs FOR UPDATE")
        with running(Worker(queue, monitor=False)):
            pause()
            assert len(claims) < 30
            other.rollback()
            assert ran.wait(PATIENCE)
