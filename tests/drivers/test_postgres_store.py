"""PostgreSQL: what the suite can't see: making the schema, forks, broken connections, late commits, plans."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.errors import DeadlockDetected, DuplicatePreparedStatement, InvalidSqlStatementName
from sqlalchemy import create_engine, event
from sqlalchemy.exc import DBAPIError

from jobcore.backend import (
    Answer,
    ConfigurationError,
    Conflict,
    Fail,
    Keep,
    Outcome,
    Push,
    QueueClosed,
    Refused,
    Return,
    State,
    Succeed,
    Unavailable,
    Uncertain,
)
from jobcore.backends.postgres import PostgresBackend, connect
from jobcore.backends.postgres.connections import failure
from jobcore.backends.postgres.listing import asked
from jobcore.backends.postgres.marks import Marks
from jobcore.conformance.threads import together
from jobcore.conformance.url import UrlHarness
from jobcore.testing import ManualClock

from servers import postgres

LEASE = 60_000_000
_numbers = itertools.count()


@pytest.fixture
def url(postgres_url: str) -> Iterator[str]:
    schema = f"store_{os.getpid()}_{next(_numbers)}"
    yield f"{postgres_url}?schema={schema}"
    with psycopg.connect(postgres_url) as connection:
        connection.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')


@pytest.fixture
def backend(url: str) -> Iterator[PostgresBackend]:
    backend = connect(url)
    yield backend
    backend.close()


def sql(backend: PostgresBackend, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """Run a statement on a connection beside the backend's; {s} is its schema."""
    with backend._database.connections.open() as connection:
        cursor = connection.execute(statement.replace("{s}", backend._database.statements.schema), parameters or None)
        return cursor.fetchall() if cursor.description else []


def take(backend: PostgresBackend, limit: int = 1, queue: str = "q") -> list[Any]:
    return backend.claim(queue, limit, LEASE, "me", uuid4().bytes, 10**9).claims


class TestSchema:
    def test_processes_that_begin_at_once_make_it_once(self, url: str, postgres_url: str) -> None:
        program = (
            "import sys; from jobcore.backends.postgres import connect; from jobcore.backend import Push\n"
            "print('ready', flush=True); sys.stdin.readline()\n"
            "connect(sys.argv[1]).push('q', [Push(sys.argv[2], b'')])"
        )
        children = [
            subprocess.Popen(
                [sys.executable, "-c", program, url, f"{n}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for n in range(4)
        ]
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        for child in children:
            child.communicate("go\n", timeout=60)
        assert [child.returncode for child in children] == [0] * 4
        backend = connect(url)
        assert backend.counts("q").ready == 4
        assert sql(backend, "SELECT number FROM {s}.migrations ORDER BY number") == [
            (step.number,) for step in backend._database.statements.steps
        ]
        backend.close()

    def test_one_that_is_there_needs_no_rights_but_to_use_it(self, backend: PostgresBackend, postgres_url: str) -> None:
        backend.counts("q")
        role = f"{backend._database.statements.schema}_worker"
        sql(backend, f"CREATE ROLE {role} LOGIN")
        try:
            sql(backend, f"GRANT USAGE ON SCHEMA {{s}} TO {role}")
            sql(backend, f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {{s}} TO {role}")
            sql(backend, f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {{s}} TO {role}")
            worker = connect(
                f"{postgres_url.replace('jobcore@', f'{role}@')}?schema={backend._database.statements.schema}"
            )
            worker.push("q", [Push("a", b"")])
            (claim,) = take(worker)
            assert worker.wait(["q"], 0.0) == set()
            assert worker.settle("q", [(claim.hold, Return())], Keep()) == [Answer.DONE]
            worker.close()
        finally:
            sql(backend, f"DROP OWNED BY {role}")
            sql(backend, f"DROP ROLE {role}")

    def test_without_the_right_to_make_it_the_call_is_refused(self, backend: PostgresBackend) -> None:
        sql(backend, "CREATE SCHEMA {s}")
        sql(backend, "CREATE TABLE {s}.jobs (other integer)")
        with pytest.raises(Refused, match="already exists"):
            backend.counts("q")

    def test_a_table_that_is_altered_under_prepared_statements_is_no_error(self, backend: PostgresBackend) -> None:
        backend.push("q", [Push("a", b"")])
        backend.redrive("q", ["a"])
        (claim,) = take(backend)
        sql(backend, "DROP VIEW {s}.all_jobs")  # it depends on the column
        sql(backend, "ALTER TABLE {s}.jobs ALTER COLUMN holder TYPE varchar(300)")
        assert [entry and entry.holder for entry in backend.get("q", ["a"])] == ["me"]
        assert backend.peek("q", State.RUNNING, 1).entries[0].holder == "me"
        assert backend.settle("q", [(claim.hold, Succeed())], Keep()) == [Answer.DONE]


class TestConnections:
    def test_nothing_is_opened_before_the_first_verb(self) -> None:
        connect("postgresql://u@127.0.0.1:1/nowhere").close()

    def test_a_server_that_is_not_there_is_unavailable(self) -> None:
        backend = connect("postgresql://u:secret@127.0.0.1:1/nowhere")
        with pytest.raises(Unavailable) as caught:
            backend.counts("q")
        assert "secret" not in f"{caught.value}"
        backend.close()

    def test_a_connection_that_was_cut_while_idle_is_replaced(self, backend: PostgresBackend) -> None:
        backend.counts("q")
        pid = backend._database.connections.call(lambda c: c.info.backend_pid)
        sql(backend, "SELECT pg_terminate_backend(%s::integer)", pid)
        until(lambda: sql(backend, "SELECT 1 FROM pg_stat_activity WHERE pid = %s", pid) == [])
        assert backend.push("q", [Push("a", b"")])[0].created

    def test_one_that_is_cut_in_a_call_is_uncertain(self, url: str) -> None:
        backend = connect(f"{url}&application_name=to_be_cut")
        backend.push("q", [Push("a", b"")])
        (claim,) = take(backend)

        def settle() -> None:
            with pytest.raises(Uncertain):
                backend.settle("q", [(claim.hold, Succeed())], Keep())

        with backend._database.connections.open() as holder, holder.transaction():
            holder.execute(f"SELECT FROM {backend._database.statements.schema}.jobs FOR UPDATE")
            together(settle, lambda: _terminate_blocked(backend))
        assert backend.settle("q", [(claim.hold, Succeed())], Keep()) == [Answer.DONE]
        backend.close()

    @pytest.mark.parametrize(
        ("error", "known"),
        [
            (psycopg.OperationalError("cannot exit pipeline mode while busy"), Uncertain),
            (DBAPIError("push", {}, psycopg.OperationalError("the connection is lost")), Uncertain),
            (psycopg.errors.ReadOnlySqlTransaction("not here"), Refused),
            (psycopg.errors.DiskFull("nowhere"), Refused),
            (psycopg.DataError("it can't be sent"), Refused),
            (DBAPIError("push", {}, DeadlockDetected("too many cooks")), Conflict),
        ],
    )
    def test_what_the_server_did_not_say_is_uncertain(self, error: Exception, known: type[Exception]) -> None:
        assert type(failure(error, broken=False)) is known

    @pytest.mark.parametrize("kind", [DuplicatePreparedStatement, InvalidSqlStatementName])
    def test_a_session_that_a_pooler_shares_is_told_of_with_what_to_do(self, kind: type[psycopg.Error]) -> None:
        assert "?prepare=off&notify=off" in str(failure(kind("_pg3_0"), broken=False))

    def test_a_statement_that_takes_too_long_is_refused(self, url: str, postgres_url: str) -> None:
        backend = connect(f"{url}&timeout=0.3")
        backend.migrate()  # which takes as long as it takes
        backend.push("q", [Push("a", b"")])
        (claim,) = take(backend)
        with psycopg.connect(postgres_url) as holder:
            holder.execute(f"SELECT FROM {backend._database.statements.schema}.jobs FOR UPDATE")
            with pytest.raises(Refused, match="statement timeout"):
                backend.settle("q", [(claim.hold, Succeed())], Keep())
            assert backend.extend("q", [claim.hold], LEASE) == [Answer.BUSY]
        assert backend.extend("q", [claim.hold], LEASE) == [Answer.HELD]
        backend.close()

    @pytest.mark.parametrize("prepare", ["on", "off"])
    def test_a_client_that_freezes_while_it_settles_holds_up_others_for_its_timeout(
        self, url: str, prepare: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        frozen, other = connect(f"{url}&timeout=0.5&prepare={prepare}"), connect(url)
        other.push("q", [Push("a", b""), Push("b", b"")])
        first, second = take(other, 2)
        frozen._database.connections._watchdog.stop()  # that stands still too
        send = frozen._database._send

        def freeze(connection: Any, stem: str, given: Any) -> Any:
            if stem == "settle":  # the queue's lock is held
                assert other.settle("q", [(second.hold, Fail())], Keep()) == [Answer.DONE]
            return send(connection, stem, given)

        monkeypatch.setattr(frozen._database, "_send", freeze)
        with pytest.raises(Uncertain):
            frozen.settle("q", [(first.hold, Fail())], Keep())
        frozen.close()
        other.close()

    def test_a_server_that_says_nothing_is_left(self, url: str) -> None:
        backend = connect(f"{url}&timeout=0.3")
        backend.counts("q")
        began = time.monotonic()
        with pytest.raises(Uncertain):  # the server's own limit is lifted, as if it were stopped
            backend._database.connections.call(
                lambda c: c.execute("SET statement_timeout = 0; SELECT pg_sleep(60)", prepare=False)
            )
        assert time.monotonic() - began < 30
        backend.close()

    def test_a_wake_that_fails_leaves_the_verb_before_it_uncertain(
        self, backend: PostgresBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        backend.push("q", [Push("back", b""), Push("again", b"")])
        back, again = take(backend, 2)
        backend.settle("q", [(again.hold, Fail())], Keep())
        verbs: list[Callable[[], object]] = [
            lambda: backend.push("q", [Push("new", b"")]),
            lambda: backend.settle("q", [(back.hold, Return())], Keep()),
            lambda: backend.redrive("q", ["again"]),
        ]
        sql(backend, "INSERT INTO {s}.sleepers VALUES ('q')")  # someone waits
        for verb in verbs:
            with server_gone_after_one_call(backend, monkeypatch), pytest.raises(Uncertain):
                verb()
        assert backend.counts("q").ready == 3

    def test_a_push_that_can_not_ask_about_the_rest_is_uncertain(
        self, backend: PostgresBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        backend.push("q", [Push("old", b"")])
        with server_gone_after_one_call(backend, monkeypatch), pytest.raises(Uncertain):
            backend.push("q", [Push("old", b"", remember=60), Push("new", b"", remember=60)])
        assert backend.counts("q").ready == 2

    def test_a_claim_that_ends_half_way_is_uncertain_and_can_be_repeated(
        self, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = ManualClock()
        backend = connect(url, clock=clock)
        backend.push("q", [Push(f"{n}", b"") for n in range(5)])
        clock.advance(1)
        take(backend, 2)  # the next goes on from there, and then looks at everything, as it gets too little
        call = uuid4().bytes
        with server_gone_after_one_call(backend, monkeypatch), pytest.raises(Uncertain):
            backend.claim("q", 9, LEASE, "me", call, 10**9)
        assert [claim.id for claim in backend.claim("q", 9, LEASE, "me", call, 10**9).claims] == ["2", "3", "4"]
        backend.close()

    def test_a_read_only_server_refuses(self, backend: PostgresBackend, url: str) -> None:
        backend.counts("q")
        reading = connect(f"{url}&options=-c%20default_transaction_read_only%3Don")
        with pytest.raises(Refused, match="read-only"):
            reading.push("q", [Push("a", b"")])
        reading.close()

    def test_a_server_that_crashes_and_comes_back_is_worked_with_again(self) -> None:
        with postgres.server(fsync="on") as server:
            backend = connect(server.url)
            backend.push("q", [Push("a", b"1")])
            backend.wait(["q"], 0.0)
            server.kill()
            with pytest.raises(Unavailable):
                backend.push("q", [Push("b", b"2")])
            server.start()
            assert [claim.payload for claim in take(backend, 9)] == [b"1"]
            backend.close()

    def test_an_engine_that_is_handed_in_is_left_alone(self, postgres_url: str) -> None:
        engine = create_engine(
            postgres_url.replace("postgresql:", "postgresql+psycopg:"),
            pool_size=1,
            max_overflow=0,
            pool_timeout=1,
            isolation_level="SERIALIZABLE",
        )
        opened: list[Any] = []
        event.listen(engine, "connect", lambda connection, _record: opened.append(connection))
        with engine.begin() as connection:  # the only one of its pool
            backend = PostgresBackend(engine, schema="handed_in")
            assert backend.push("q", [Push("a", b"")])[0].created
            assert connection.exec_driver_sql("SHOW transaction_isolation").scalar_one() == "serializable"
            assert len(opened) == 2
            backend.destroy("q")
            backend.close()
            assert connection.exec_driver_sql("SELECT 1").scalar_one() == 1
        engine.dispose()

    @pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
    def test_a_database_in_another_encoding_takes_what_it_can_hold(self, postgres_url: str, encoding: str) -> None:
        name = f"in_{encoding}_{os.getpid()}".lower()
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(
                f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
            )
            try:
                self._check_encoding(connect(f"{postgres_url.rpartition('/')[0]}/{name}"), refuses=encoding == "LATIN1")
            finally:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _check_encoding(self, backend: PostgresBackend, *, refuses: bool) -> None:
        assert backend.push("q", [Push("\u00e9", b"")])[0].created
        assert [claim.id for claim in take(backend)] == ["\u00e9"]
        if refuses:
            with pytest.raises(Refused, match="no equivalent"):
                backend.push("q", [Push("\u20ac", b"")])
        else:
            assert backend.push("q", [Push("\u20ac", b"")])[0].created
        backend.close()

    def test_another_driver_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="psycopg"):
            PostgresBackend(create_engine("sqlite://"))

    def test_closing_ends_the_sessions(self, backend: PostgresBackend, url: str, postgres_url: str) -> None:
        other = connect(f"{url}&application_name=closing")
        other.wait(["q"], 0.01)
        other.close()
        until(lambda: sql(backend, "SELECT 1 FROM pg_stat_activity WHERE application_name = 'closing'") == [])
        with pytest.raises(QueueClosed):
            other.counts("q")


@contextmanager
def server_gone_after_one_call(backend: PostgresBackend, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No connection is to be had once a transaction is committed."""
    connections = backend._database.connections
    works = [connections.lend]

    def lend(work: Any) -> Any:
        if not works:
            raise Unavailable("the server went away")
        return works.pop()(work)

    with monkeypatch.context() as patch:
        patch.setattr(connections, "lend", lend)
        yield


def _terminate_blocked(backend: PostgresBackend) -> None:
    """Cut off the session that waits for a lock, as soon as there is one."""
    blocked = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND application_name = 'to_be_cut' AND query LIKE '/* jobcore settle */%'"
    )
    until(lambda: sql(backend, blocked) != [])


def until(condition: Callable[[], object], limit: float = 20.0) -> None:
    """Wait for something that is bound to happen."""
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        threading.Event().wait(0.01)


class TestForks:
    @pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # it is what is tested
    def test_a_child_works_and_disturbs_nothing(self, backend: PostgresBackend) -> None:
        backend.push("q", [Push("a", b""), Push("b", b"")])
        backend.wait(["q"], 0.0)
        pid = backend._database.connections.call(lambda c: c.info.backend_pid)
        child = os.fork()
        if child == 0:
            passed = False
            threading.Timer(20.0, os._exit, [2]).start()
            try:
                passed = len(take(backend)) == 1 and backend.wait(["q"], 0.0) == {"q"}
                backend.close()
            finally:
                os._exit(0 if passed else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert backend._database.connections.call(lambda c: c.info.backend_pid) == pid
        assert backend.counts("q").ready == 1
        connect_again = backend.push("q", [Push("c", b"")])
        assert connect_again[0].created
        assert backend.wait(["q"], 1.0) == {"q"}


class TestClaims:
    def test_what_was_committed_late_is_found_within_two_seconds(self, url: str) -> None:
        clock = ManualClock()
        backend = connect(url, clock=clock)
        backend.push("q", [Push("first", b"")])
        with backend._database.connections.open() as late, late.transaction():
            backend.join(late, "q", [Push("late", b"")])
            clock.advance(1)
            backend.push("q", [Push(f"{n}", b"") for n in range(10)])
            assert [claim.id for claim in take(backend, 2)] == ["first", "0"]
        assert [claim.id for claim in take(backend, 2)] == ["1", "2"]  # passed over, as its place was
        clock.advance(2, microseconds=1)
        assert [claim.id for claim in take(backend, 2)] == ["late", "3"]
        backend.close()

    def test_it_is_found_at_once_where_little_else_is(self, url: str) -> None:
        clock = ManualClock()
        backend = connect(url, clock=clock)
        with backend._database.connections.open() as late, late.transaction():
            backend.join(late, "q", [Push("late", b"")])
            clock.advance(1)
            backend.push("q", [Push("a", b""), Push("b", b"")])
            assert [claim.id for claim in take(backend, 1)] == ["a"]
        assert [claim.id for claim in take(backend, 5)] == ["late", "b"]
        backend.close()

    def test_what_was_open_for_long_is_found_within_two_seconds(self, url: str) -> None:
        clock = ManualClock()
        backend = connect(url, clock=clock)
        with backend._database.connections.open() as late, late.transaction():
            backend.join(late, "q", [Push(f"late {n}", b"") for n in range(3)])
            clock.advance(1)
            backend.push("q", [Push(f"{n}", b"") for n in range(20)])
            for _ in range(5):  # each looks, and takes the first of what it sees
                clock.advance(3)
                assert "late 0" not in [claim.id for claim in take(backend, 2)]
        clock.advance(2, microseconds=1)
        assert [claim.id for claim in take(backend, 2)] == ["late 0", "late 1"]
        assert [claim.id for claim in take(backend, 2)] == ["late 2", "10"]
        backend.close()

    def test_more_of_it_than_a_claim_takes_is_given_by_the_next(self, url: str) -> None:
        clock = ManualClock()
        backend = connect(url, clock=clock)
        with backend._database.connections.open() as late, late.transaction():
            backend.join(late, "q", [Push(f"late {n}", b"") for n in range(4)])
            clock.advance(1)
            backend.push("q", [Push("a", b""), Push("b", b"")])
            assert [claim.id for claim in take(backend, 1)] == ["a"]
        assert [claim.id for claim in take(backend, 3)] == ["late 0", "late 1", "b"]  # it sees b first, and then looks
        assert [claim.id for claim in take(backend, 3)] == ["late 2", "late 3"]
        backend.close()

    def test_what_a_claim_that_came_to_nothing_had_locked_is_found_within_two_seconds(self, url: str) -> None:
        clock = ManualClock()
        backend = connect(url, clock=clock)
        backend.push("q", [Push(f"{n}", b"") for n in range(20)])
        with backend._database.connections.open() as other, other.transaction(force_rollback=True):
            other.execute(f"SELECT FROM {backend._database.statements.schema}.jobs WHERE id = '0' FOR UPDATE")
            for _ in range(3):
                clock.advance(3)
                assert "0" not in [claim.id for claim in take(backend, 2)]
        clock.advance(2, microseconds=1)
        assert [claim.id for claim in take(backend, 2)] == ["0", "7"]
        backend.close()

    @pytest.mark.parametrize("way", ["one", "several", "by function"])
    def test_a_push_that_waited_for_anothers_id_is_found_within_two_seconds(self, way: str, url: str) -> None:
        """Its place is from before the wait, and its first row is written after it."""
        clock = ManualClock(time.time_ns() // 1000)
        backend = connect(url, clock=clock)
        backend._database.make()
        ids = ["a", "b"] if way == "several" else ["a"]
        enqueue = f"SELECT {backend._database.statements.schema}.enqueue('q', 'job', id => 'a')".encode()

        def push(connection: psycopg.Connection[Any]) -> object:
            if way == "by function":
                return connection.execute(enqueue)
            return backend.join(connection, "q", [Push(id, b"") for id in ids])

        opened = backend._database.connections.open
        with opened() as first, opened() as late, late.transaction():
            blocked = f"SELECT 1 FROM pg_locks WHERE pid = {late.info.backend_pid} AND NOT granted"
            with first.transaction(force_rollback=True):
                push(first)
                waiting = threading.Thread(target=push, args=(late,))
                waiting.start()
                until(lambda: sql(backend, blocked))
                clock.advance(60)
                backend.push("q", [Push(f"{n}", b"") for n in range(20)])
                assert [claim.id for claim in take(backend, 2)] == ["0", "1"]
            waiting.join()
            for _ in range(2):
                clock.advance(3)
                assert "a" not in [claim.id for claim in take(backend, 2)]
        clock.advance(2, microseconds=1)
        assert [claim.id for claim in take(backend, len(ids))] == ids
        backend.close()

    def test_what_should_not_have_come_is_found_within_five_minutes(self, url: str) -> None:
        clock = ManualClock()
        backend = connect(url, clock=clock)
        backend.push("q", [Push(f"{n}", b"") for n in range(40)])
        for _ in range(3):
            clock.advance(3)
            take(backend, 2)
        sql(backend, "UPDATE {s}.jobs SET state = 'ready', call = NULL WHERE id = '0'")  # by a human hand, say
        clock.advance(3)
        assert [claim.id for claim in take(backend, 2)] == ["6", "7"]
        clock.advance(300)
        assert [claim.id for claim in take(backend, 2)] == ["0", "8"]
        backend.close()

    def test_what_another_program_made_ready_at_an_old_place_is_found_by_who_waits(self, url: str) -> None:
        clock = ManualClock()
        backend = connect(url, clock=clock)
        for step in range(4):  # claims and looks go on from ever later places
            backend.push("q", [Push(f"before {step}", b"{}")])
            assert len(take(backend)) == 1
            clock.advance(3)
        assert take(backend) == []
        sql(
            backend,
            "INSERT INTO {s}.jobs (queue, id, state, rank, place, seq, pushed_at, payload) "
            "VALUES ('q', 'raw', 'ready', 0, 1, 0, 1, '{}')",
        )
        found = []
        for _ in range(2):  # a worker's rounds
            assert backend.wait(["q"], 1.0) == {"q"}
            found += take(backend)
        assert [claim.id for claim in found] == ["raw"]
        backend.close()

    def test_the_journal_of_returns_does_not_pile_up(self, url: str) -> None:
        clock = ManualClock()
        backend = connect(url, clock=clock)
        backend.push("q", [Push("a", b"")])
        for _ in range(80):
            clock.advance(60)
            backend.settle("q", [(claim.hold, Return()) for claim in take(backend)], Keep())
        ((rows,),) = sql(backend, "SELECT count(*) FROM {s}.returns")
        assert 10 <= rows < 10 + 64
        backend.close()

    def test_anothers_return_is_the_next_to_be_claimed(self, url: str) -> None:
        clock = ManualClock()
        one, two = connect(url, clock=clock), connect(url, clock=clock)
        one.push("q", [Push("a", b""), Push("z", b"", priority=3)])
        clock.advance(1)
        one.push("q", [Push(f"{n}", b"") for n in range(10)])
        held = take(one, 2)
        assert [claim.id for claim in held] == ["z", "a"]
        assert [claim.id for claim in take(two, 2)] == ["0", "1"]
        assert [claim.id for claim in take(two, 2)] == ["2", "3"]
        one.settle("q", [(claim.hold, Return()) for claim in held], Keep())
        assert [claim.id for claim in take(two, 3)] == ["z", "a", "4"]
        one.close()
        two.close()

    def test_an_old_snapshot_does_not_make_claims_dear(self, url: str) -> None:
        clock = ManualClock()
        backend = connect(url, clock=clock)
        backend.push("q", [Push(f"{n}", b"") for n in range(2000)])
        clock.advance(1)
        with backend._database.connections.open() as old, old.transaction():
            old.execute("DECLARE snapshot CURSOR FOR SELECT 1")  # keeps the snapshot until the transaction ends
            for _ in range(19):
                claims = take(backend, 100)
                backend.settle("q", [(claim.hold, Succeed()) for claim in claims], Keep())
            marks, everything = backend._claiming._marks["q"], blocks(backend, Marks())
            assert blocks(backend, marks) * 3 < everything
            for _ in range(2):  # looks, of which the second knows what had ended by the first
                clock.advance(3)
                take(backend, 1)
            assert blocks(backend, backend._claiming._marks["q"].to_look()) * 3 < everything
        backend.close()

    def test_what_is_taken_over_before_a_claim_ends_is_told_all_the_same(
        self, backend: PostgresBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        backend.push("q", [Push("a", b"")])
        take(backend)  # it was filled: the next looks at what is new, and then at the rest
        backend.push("q", [Push("b", b"")])
        further = backend._database.run_further
        lost: list[str] = []

        def taken_over(*arguments: Any) -> Any:
            lost.extend(claim.id for claim in backend.reclaim("q", 10, LEASE, "other", uuid4().bytes, of="me"))
            return further(*arguments)

        monkeypatch.setattr(backend._database, "run_further", taken_over)
        assert [claim.id for claim in take(backend, 10)] == ["b"]
        assert lost == ["a", "b"]

    def test_batches_in_opposite_orders_do_not_deadlock(self, backend: PostgresBackend) -> None:
        ids = [f"{n}" for n in range(50)]

        def push(order: list[str]) -> int:
            return sum(
                pushed.created for _ in range(10) for pushed in backend.push("q", [Push(id, b"") for id in order])
            )

        assert sum(together(lambda: push(ids), lambda: push(ids[::-1]))) == 50
        holds = [claim.hold for claim in take(backend, 50)]

        def settle(order: list[Any]) -> int:
            answers = backend.settle("q", [(hold, Fail()) for hold in order], Keep())
            return answers.count(Answer.DONE)

        assert sum(together(lambda: settle(holds), lambda: settle(holds[::-1]))) == 50


class TestListing:
    @pytest.mark.parametrize(("first", "second"), [(State.READY, State.SCHEDULED), (State.SCHEDULED, State.READY)])
    def test_a_page_reads_little_of_what_it_does_not_show(self, url: str, first: State, second: State) -> None:
        clock = ManualClock()
        backend = connect(url, clock=clock)
        delay = {State.READY: 0, State.SCHEDULED: 10**9}
        for state, priority, jobs in ((first, 1, 20_000), (second, 0, 30), (first, -1, 30)):
            ids = [f"{state.value}-{n}-{priority}" for n in range(jobs)]
            backend.push("q", [Push(id, b"", priority=priority, delay=delay[state]) for id in ids])
        page = backend.peek("q", second, 10)
        assert [entry.id for entry in page.entries] == [f"{second.value}-{n}-0" for n in range(10)]
        for after in (None, page.next):
            assert read(explain(backend, *asked("q", second, 10, after))) < 50
        backend.close()

    def test_what_another_program_puts_before_all_time_is_listed(self, backend: PostgresBackend) -> None:
        backend.counts("q")
        sql(
            backend,
            "INSERT INTO {s}.jobs (queue, id, state, rank, place, seq, pushed_at, payload) "
            "VALUES ('q', 'raw', 'ready', 0, -1, 0, 1, '{}')",
        )
        assert [entry.id for entry in backend.peek("q", State.READY, 10).entries] == ["raw"]
        assert backend.peek("q", State.SCHEDULED, 10).entries == []


class TestCaps:
    def test_what_other_programs_deleted_is_no_longer_counted_after_a_while(
        self, backend: PostgresBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*ids: str) -> list[str]:
            backend.push("q", [Push(id, b"") for id in ids])
            outcome = Fail(State.FAILED, "no")
            backend.settle("q", [(claim.hold, outcome) for claim in take(backend, 100)], Keep(failed=3))
            return [entry.id for entry in backend.peek("q", State.FAILED, 10).entries]

        assert fail("a", "b", "c", "d") == ["d", "c", "b"]
        sql(backend, "DELETE FROM {s}.jobs WHERE state = 'failed'")
        counted = time.monotonic()
        monkeypatch.setattr("jobcore.backends.postgres.settling.time.monotonic", lambda: counted + 300)
        assert fail("e", "f") == ["f", "e"]
        assert fail("g", "h") == ["h", "g", "f"]

    def test_a_count_that_was_rolled_back_is_made_again(
        self, backend: PostgresBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As when two that settle at once have locked rows in opposite orders."""
        send, failing = backend._database._send, [DeadlockDetected()]

        def rolled_back(connection: Any, stem: str, given: Any) -> Any:
            if stem == "trim_failed" and failing:
                raise failing.pop()
            return send(connection, stem, given)

        backend.push("q", [Push("a", b""), Push("b", b"")])
        sql(backend, "INSERT INTO {s}.kept VALUES ('q', 'failed', 1000)")  # of jobs that another program deleted
        monkeypatch.setattr(backend._database, "_send", rolled_back)
        backend.settle("q", [(claim.hold, Fail()) for claim in take(backend, 2)], Keep(failed=1))
        assert backend.counts("q").failed == 1


class TestMemory:
    """An id is remembered for a time; however its job left, what is remembered does not pile up after that."""

    @pytest.mark.parametrize(("outcome", "keep"), [(Succeed(), Keep(succeeded=1)), (Fail(), Keep(failed=1))])
    def test_ids_of_jobs_that_were_trimmed_are_forgotten(self, url: str, outcome: Outcome, keep: Keep) -> None:
        def leave(backend: PostgresBackend) -> None:
            (claim,) = take(backend)
            backend.settle("q", [(claim.hold, outcome)], keep)

        assert remembered_after(url, 10, leave) <= 1

    def test_ids_of_jobs_that_were_removed_are_forgotten(self, url: str) -> None:
        def leave(backend: PostgresBackend) -> None:
            backend.remove("q", [entry.id for entry in backend.peek("q", State.READY, 9).entries])

        assert remembered_after(url, 10, leave) <= 1

    def test_ids_of_jobs_that_a_cap_of_none_took_along_are_forgotten(self, url: str) -> None:
        def leave(backend: PostgresBackend) -> None:
            *kept, last = [(claim.hold, Succeed()) for claim in take(backend, 9)]
            backend.settle("q", kept, Keep(succeeded=9))
            backend.settle("q", [last], Keep(succeeded=0))

        assert remembered_after(url, 10, leave, jobs=9) <= 9


def remembered_after(url: str, rounds: int, leave: Callable[[PostgresBackend], object], jobs: int = 1) -> int:
    """How many rows remember ids, after so many rounds, each after the time of the ids that left in the one before."""
    clock = ManualClock()
    backend = connect(url, clock=clock)
    for n in range(rounds):
        backend.push("q", [Push(f"{n}-{job}", b"", remember=1) for job in range(jobs)])
        leave(backend)
        clock.advance(2)
    ((rows,),) = sql(backend, "SELECT count(*) FROM {s}.jobs WHERE state = 'remembered'")
    backend.close()
    return int(rows)


def blocks(backend: PostgresBackend, marks: Marks) -> int:
    """The blocks that a claim by these marks reads."""
    claim = {"queue": "q", "jobs": 1, "lease": LEASE, "holder": "me", "call": uuid4().bytes, "max_bytes": 10**9}
    return read(explain(backend, "claim", {**claim, **marks.parameters(), "onward": False}))


def read(plan: str) -> int:
    """The blocks that were read by a plan."""
    return int(plan.split("shared hit=", 1)[1].split(maxsplit=1)[0])


def explain(backend: PostgresBackend, stem: str, given: dict[str, Any]) -> str:
    """The plan of a statement as the driver has it planned, with what it read."""
    database = backend._database

    def run(connection: psycopg.Connection[Any]) -> str:
        with connection.transaction(force_rollback=True):
            if not database.connections.prepare:
                database.connections.set(connection, local=True)
            statement = f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF) {database.statements[stem]}"
            return "\n".join(line for (line,) in connection.execute(statement, database.timed(given)))

    return database.connections.call(run)


class TestUrls:
    @pytest.mark.parametrize(
        "url",
        [
            "postgresql://localhost/db?shema=x",
            "postgresql://localhost/db?timeout=soon",
            "postgresql://localhost/db?timeout=0",
            "postgresql://localhost/db?notify=maybe",
            "postgresql://localhost/db?schema=a;b",
            "postgresql://localhost/db?schema=" + "a" * 64,
            "postgresql://u:pa/ss@localhost:port/db",
            "postgresql://u:pa%2Fss@localhost:port/db",
            "postgres:localhost",
            "mysql://localhost/db",
        ],
    )
    def test_a_wrong_one_is_an_error_without_the_password(self, url: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            connect(url)
        assert "pa/ss" not in str(caught.value)

    def test_where_nobody_is_woken_the_suite_does_not_ask_how_soon(self) -> None:
        assert not UrlHarness("postgresql://localhost/db?notify=off").prompt
        assert UrlHarness("postgresql://localhost/db").prompt

    def test_both_schemes_open(self) -> None:
        for scheme in ("postgresql", "postgres"):
            connect(f"{scheme}://u@localhost/db?notify=off&prepare=off&timeout=5&sslmode=prefer").close()
