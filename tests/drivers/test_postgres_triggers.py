"""PostgreSQL: jobs that other programs insert and update wake workers, and the triggers for that are looked after."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final, NamedTuple
from uuid import uuid4

import psycopg
import pytest
from core.loops import eventually, running
from psycopg.errors import DeadlockDetected

import jobcore.backends.postgres.waiting as postgres_waiting
import jobcore.waiting as core_waiting
from jobcore import Queue, Worker
from jobcore.backend import Answer, Fail, Keep, Push, Retry, Return, Succeed
from jobcore.backends.postgres import PostgresBackend, connect
from jobcore.backends.postgres.statements import Statements
from jobcore.conformance.threads import together
from jobcore.testing import ManualClock

LEASE: Final = 60_000_000
BOUND: Final = 20.0
_numbers = itertools.count()


class Scene(NamedTuple):
    """What another program does while q and r are waited for and s is not, and which queues are told of."""

    title: str
    statements: list[str]
    told: list[str]


INSERT: Final = (
    "INSERT INTO {s}.jobs (queue, id, state, rank, place, seq, pushed_at, payload)"
    " SELECT queue, queue || n, '{state}', 0, 100, n, 0, '' FROM unnest(string_to_array('{queues}', ',')) AS queue,"
    " generate_series({first}, {last}) AS n"
)


def insert(queues: str, first: int = 1, last: int = 1, state: str = "ready") -> str:
    return INSERT.format(s="{s}", queues=queues, first=first, last=last, state=state)


READIED: Final = "UPDATE {s}.jobs SET state = 'ready'"
PUSHED_ANEW: Final = " ON CONFLICT (queue, id) DO UPDATE SET state = excluded.state"

SCENES: Final = [
    Scene("many jobs of a statement tell once a queue", [insert("q,r", 1, 50)], ["q", "r"]),
    Scene("what nobody waits for is not told of", [insert("s")], []),
    Scene("each statement tells", [insert("q"), insert("q", 2, 2)], ["q", "q"]),
    Scene("a job that is not ready is not told of", [insert("q", state="failed")], []),
    Scene("nor when it changes", [insert("q", state="failed"), "UPDATE {s}.jobs SET state = 'running'"], []),
    Scene("failed jobs that are made ready are told of", [insert("q", 1, 9, "failed"), READIED], ["q"]),
    Scene("a failed job among ready ones tells", [insert("q"), insert("q", 2, 2, "failed"), READIED], ["q", "q"]),
    Scene("an update of the ready tells nothing new", [insert("q,r"), "UPDATE {s}.jobs SET rank = 3"], ["q", "r"]),
    Scene("nor does a job that is postponed", [insert("q"), "UPDATE {s}.jobs SET place = 200"], ["q"]),
    Scene("a job that is brought forward tells", [insert("q"), "UPDATE {s}.jobs SET place = 50"], ["q", "q"]),
    Scene("a job that changes its queue tells there", [insert("s"), "UPDATE {s}.jobs SET queue = 'r'"], ["r"]),
    Scene("a job over a remembered id tells", [insert("q", state="remembered"), insert("q") + PUSHED_ANEW], ["q"]),
    Scene("what is rolled back is not told of", ["BEGIN", insert("q"), "ROLLBACK"], []),
    Scene("a transaction tells once", ["BEGIN", insert("q"), insert("q", 2, 2), "COMMIT"], ["q"]),
    Scene("nor does what asks for quiet", ["BEGIN", "SET LOCAL jobcore.quiet = 'on'", insert("q"), "COMMIT"], []),
    Scene("a removal tells nothing", [insert("s"), "DELETE FROM {s}.jobs"], []),
]


TRIGGERS: Final = ("jobs_inserted", "jobs_deleted", "jobs_updated", "jobs_truncated")


class Store:
    """A schema, and a program that is no client of ours: it has a plain connection."""

    def __init__(self, url: str, schema: str) -> None:
        self.schema = schema
        self.address = url
        self.url = f"{url}?schema={schema}"
        self.program = psycopg.connect(url, autocommit=True)
        self.channel = Statements(schema).channel
        self._made: list[PostgresBackend] = []

    def client(self, options: str = "", **given: Any) -> PostgresBackend:
        self._made.append(connect(f"{self.url}&{options}".rstrip("&"), **given))
        return self._made[-1]

    def sql(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        cursor = self.program.execute(statement.replace("{s}", f'"{self.schema}"'), parameters or None)
        return cursor.fetchall() if cursor.description else []

    def carried_out(self, statement: str) -> bool:
        """Whether a statement was carried out as one transaction, and not given up for what the worker has locked."""
        with suppress(DeadlockDetected), self.program.transaction():
            self.sql(statement)
            return True
        return False

    def ensure(self) -> str:
        ((found,),) = self.sql("SELECT {s}.ensure_triggers()")
        return str(found)

    def triggers(self) -> dict[str, tuple[int, str]]:
        """The identity and the firing of each trigger, by name."""
        found = self.sql(
            "SELECT tgname, t.oid::bigint, tgenabled::text FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid"
            " JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = %s AND NOT tgisinternal",
            self.schema,
        )
        return {name: (oid, enabled) for name, oid, enabled in found}

    def healthy(self) -> bool:
        return {name: enabled for name, (_, enabled) in self.triggers().items()} == dict.fromkeys(TRIGGERS, "O")

    def heard(self, work: Callable[[], object]) -> list[str]:
        """What is told of while `work` is done, to its end: notifications come in the order of commits."""
        with psycopg.connect(self.address, autocommit=True) as ear:
            ear.execute(f"LISTEN {self.channel}".encode())
            work()
            self.program.execute("SELECT pg_notify(%s, 'the end')", [self.channel])
            return [*itertools.takewhile(lambda said: said != "the end", (n.payload for n in ear.notifies()))]

    def close(self) -> None:
        for backend in self._made:
            backend.close()
        self.program.execute(f'DROP SCHEMA IF EXISTS "{self.schema}" CASCADE'.encode())
        self.program.close()


@pytest.fixture
def store(postgres_url: str) -> Iterator[Store]:
    store = Store(postgres_url, f"triggers_{os.getpid()}_{next(_numbers)}")
    yield store
    store.close()


@pytest.fixture(scope="module")
def lasting(postgres_url: str) -> Iterator[Store]:
    store = Store(postgres_url, f"triggers_{os.getpid()}_lasting")
    store.client("notify=off").counts("q")
    yield store
    store.close()


@pytest.fixture
def told(lasting: Store) -> Store:
    """An empty store where the triggers are there, and q and r are waited for."""
    lasting.ensure()
    assert lasting.healthy()
    lasting.sql("TRUNCATE {s}.jobs")
    lasting.sql("INSERT INTO {s}.sleepers VALUES ('q'), ('r') ON CONFLICT DO NOTHING")
    return lasting


def plays(store: Store, scene: Scene) -> bool:
    """Whether the scene tells of what it should."""

    def act() -> None:
        for statement in scene.statements:
            store.sql(statement)

    return sorted(store.heard(act)) == scene.told


class TestTelling:
    @pytest.mark.parametrize("scene", SCENES, ids=[scene.title for scene in SCENES])
    def test_of(self, told: Store, scene: Scene) -> None:
        assert plays(told, scene)

    @pytest.mark.parametrize(
        ("there", "instead"),
        [
            ("PERFORM pg_notify", "PERFORM"),
            ("IF TG_OP = 'INSERT'", "IF TG_OP = 'UPDATE'"),
            ("FROM fresh WHERE state = 'ready')", "FROM fresh)"),
            ("FROM fresh WHERE state = 'ready' AND NOT", "FROM fresh WHERE NOT"),
            (" AND NOT EXISTS (", " AND EXISTS ("),
            ("stale.queue = fresh.queue AND", ""),
            ("stale.id = fresh.id", "true"),
            ("AND stale.state = 'ready'", ""),
            ("AND stale.place <= fresh.place", ""),
            ("stale.place <= fresh.place", "stale.place < fresh.place"),
        ],
    )
    def test_a_bug_in_it_is_noticed(self, told: Store, there: str, instead: str) -> None:
        ((body,),) = told.sql("SELECT pg_get_functiondef(to_regprocedure(%s))", f'"{told.schema}".tell_ready()')
        assert there in body
        told.sql(body.replace(there, instead))
        assert not all(self._plays(told, scene) for scene in SCENES)

    def _plays(self, told: Store, scene: Scene) -> bool:
        told.sql("TRUNCATE {s}.jobs")
        try:
            return plays(told, scene)
        except psycopg.Error:
            return False

    def test_a_program_that_may_only_insert_needs_no_other_right(self, told: Store) -> None:
        role = f"inserter_{os.getpid()}"
        told.sql(f"CREATE ROLE {role}; GRANT USAGE ON SCHEMA {{s}} TO {role}; GRANT INSERT ON {{s}}.jobs TO {role}")
        told.sql(f"SET ROLE {role}")
        try:
            assert told.heard(lambda: told.sql(insert("q"))) == ["q"]
        finally:
            told.sql("RESET ROLE")
            told.sql(f"DROP OWNED BY {role}; DROP ROLE {role}")

    def test_long_names_are_told_apart(self, postgres_url: str) -> None:
        """Of schemas as long as they can be, which differ in the last letter; and of queues as long as they can be."""
        one, two = (Store(postgres_url, f"{'long' * 15}{os.getpid() % 10}{letter}") for letter in "ab")
        queue = "q" * 200
        try:
            for store in (one, two):
                store.client("notify=off").counts(queue)
                assert store.ensure() == "mended"
                store.sql("INSERT INTO {s}.sleepers VALUES (%s)", queue)
            assert one.heard(lambda: one.sql(insert(queue))) == [queue]
            assert one.heard(lambda: two.sql(insert(queue))) == []
            assert len(one.channel) < 64
        finally:
            one.close()
            two.close()

    @pytest.mark.parametrize("prepare", ["on", "off"])
    def test_the_drivers_own_verbs_do_not_go_through_it(self, told: Store, prepare: str) -> None:
        """They notify after their commit, if someone waits; within it, NOTIFY has all who do it wait for each other."""
        told.sql(
            "CREATE OR REPLACE FUNCTION {s}.tell_ready() RETURNS trigger LANGUAGE plpgsql"
            " AS 'BEGIN RAISE EXCEPTION USING MESSAGE = TG_OP; END'"
        )
        with pytest.raises(psycopg.errors.RaiseException, match="INSERT"):
            told.sql(insert("q"))
        backend = told.client(f"prepare={prepare}&notify=off")
        backend.push("q", [Push(f"{n}", b"") for n in range(4)])
        holds = [claim.hold for claim in backend.claim("q", 4, LEASE, "me", uuid4().bytes, 10**9).claims]
        outcomes = [Succeed(), Retry(), Return(), Fail()]
        assert backend.settle("q", [*zip(holds, outcomes, strict=True)], Keep()) == [Answer.DONE] * 4
        assert backend.redrive("q", ["3"]) == [Answer.DONE]
        assert len(backend.claim("q", 4, LEASE, "me", uuid4().bytes, 10**9).claims) == 3
        assert len(backend.reclaim("q", 4, LEASE, "other", uuid4().bytes, of="me")) == 3

    def test_a_session_that_a_pooler_lends_is_left_as_it_was(self, store: Store) -> None:
        backend = store.client("prepare=off&notify=off")
        backend.push("q", [Push("a", b"")])
        ask = "SELECT current_setting('jobcore.quiet', true) IS DISTINCT FROM 'on'"
        assert backend._database.connections.call(lambda connection: connection.execute(ask).fetchall()) == [(True,)]

    def test_a_push_in_the_callers_transaction_is_told_of_when_that_commits(self, told: Store) -> None:
        def push() -> None:
            with told.program.transaction():
                told.client("notify=off").join(told.program, "q", [Push("a", b"")])
                told.sql("SELECT {s}.enqueue('q', 'Job', '{}')")

        assert told.heard(push) == ["q"]


class TestEnsuring:
    def test_it_is_who_waits_that_makes_them(self, store: Store) -> None:
        backend = store.client()
        backend.push("q", [Push("a", b"")])
        assert store.triggers() == {}
        eventually(lambda: backend.wait(["q"], 1.0) and store.healthy())
        assert store.ensure() == "healthy"

    def test_without_notify_nothing_is_made(self, store: Store) -> None:
        backend = store.client("notify=off&check_triggers=0.001")
        for _ in range(3):
            backend.wait(["q"], 0.01)
        assert store.triggers() == {}

    @pytest.mark.parametrize(
        "harm",
        [
            "DROP TRIGGER jobs_inserted ON {s}.jobs",
            "DROP TRIGGER jobs_updated ON {s}.jobs",
            "DROP TRIGGER jobs_deleted ON {s}.jobs",
            "ALTER TABLE {s}.jobs DISABLE TRIGGER jobs_truncated",
            "DROP FUNCTION {s}.tell_ready CASCADE",
            "ALTER TABLE {s}.jobs DISABLE TRIGGER jobs_updated",
            *(
                "DROP TRIGGER jobs_inserted ON {s}.jobs;"
                f"CREATE TRIGGER jobs_inserted AFTER {event} ON {{s}}.jobs EXECUTE FUNCTION {{s}}.tell_ready()"
                for event in ("INSERT", "DELETE")
            ),
            "CREATE OR REPLACE FUNCTION {s}.tell_ready() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        ],
    )
    def test_what_is_harmed_while_workers_run_is_mended(self, store: Store, harm: str) -> None:
        backend = store.client("check_triggers=0.02")
        ran: list[str] = []
        with running(worker(backend, ran)):
            eventually(store.healthy)
            store.sql(harm)
            eventually(lambda: store.healthy() and store.ensure() == "healthy", within=BOUND)
            store.sql(insert_job(), "a")
            eventually(lambda: ran == ["a"], within=BOUND)

    def test_only_what_is_missing_is_made(self, told: Store) -> None:
        before = told.triggers()
        told.sql("DROP TRIGGER jobs_updated ON {s}.jobs")
        assert told.ensure() == "mended"
        assert told.triggers()["jobs_inserted"] == before["jobs_inserted"]
        assert told.triggers()["jobs_updated"] != before["jobs_updated"]

    def test_readers_are_no_hindrance(self, told: Store) -> None:
        """Not even a dump, which holds its ACCESS SHARE for hours. PostgreSQL 13 goes on when it has ended."""
        told.sql("DROP TRIGGER jobs_inserted ON {s}.jobs; ALTER TABLE {s}.jobs DISABLE TRIGGER jobs_updated")
        with held(told, "ACCESS SHARE"):
            assert told.ensure() == ("mended" if told.program.info.server_version >= 140000 else "busy")
        assert told.ensure() in {"mended", "healthy"}
        assert told.healthy()

    def test_behind_a_writer_nothing_waits(self, told: Store) -> None:
        told.sql("DROP TRIGGER jobs_inserted ON {s}.jobs")
        with held(told, "ROW EXCLUSIVE"), told.program.transaction():
            told.sql("SET LOCAL statement_timeout = '5s'")  # whoever had to wait would fail
            assert told.ensure() == "busy"
            assert modes(told) == [("RowExclusiveLock", True)]  # the other's: nothing is held, nothing waited for
            with psycopg.connect(told.address, autocommit=True, options="-c lock_timeout=1ms") as next_writer:
                next_writer.execute(insert("q").replace("{s}", told.schema).encode())
        assert told.ensure() == "mended"

    def test_behind_another_who_makes_them_nothing_waits(self, told: Store) -> None:
        told.sql("DROP TRIGGER jobs_inserted ON {s}.jobs")
        with psycopg.connect(told.address) as other:  # one who has yet to lock the table
            name = f'"{told.schema}" triggers'
            other.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 7061767))", [name])
            with told.program.transaction():
                told.sql("SET LOCAL statement_timeout = '5s'")
                assert told.ensure() == "busy"
        assert told.ensure() == "mended"

    def test_many_at_once_make_them_once(self, store: Store) -> None:
        clients = [store.client() for _ in range(4)]
        clients[0].counts("q")
        found = [rows[0][0] for rows in together(*[partial(client._database.run, "ensure", {}) for client in clients])]
        assert found.count("mended") == 1
        assert {*found} <= {"mended", "busy", "healthy"}
        assert store.healthy()

    def test_while_somebody_is_in_the_way_workers_poll_and_then_they_are_made(self, store: Store) -> None:
        backend, ran = store.client("check_triggers=0.02"), list[str]()
        backend.counts("q")
        with held(store, "ROW EXCLUSIVE"), running(worker(backend, ran)):
            store.sql(insert_job(), "a")
            eventually(lambda: ran == ["a"], within=BOUND)
            assert store.triggers() == {}
        with running(worker(backend, ran)):
            eventually(store.healthy, within=BOUND)

    @pytest.mark.parametrize(
        "remake",
        [
            (
                "ALTER TABLE {s}.jobs RENAME TO old; CREATE TABLE {s}.jobs (LIKE {s}.old INCLUDING ALL);"
                "DROP TABLE {s}.old CASCADE"
            ),
            "DROP SCHEMA {s} CASCADE",  # whoever comes next makes it
        ],
        ids=["table", "schema"],
    )
    def test_after_the_table_was_dropped_and_made_again_work_goes_on(self, store: Store, remake: str) -> None:
        backend, ran = store.client("check_triggers=0.02"), list[str]()
        with running(worker(backend, ran)):
            eventually(store.healthy)
            eventually(partial(store.carried_out, remake), within=BOUND)
            eventually(lambda: store.sql("SELECT to_regclass(%s) IS NOT NULL", f"{store.schema}.jobs") == [(True,)])
            eventually(store.healthy, within=BOUND)
            store.sql(insert_job(), "a")
            eventually(lambda: ran == ["a"], within=BOUND)

    def test_a_worker_that_may_only_use_the_tables_mends_them(self, store: Store) -> None:
        role = f"worker_{os.getpid()}"
        store.client("notify=off").counts("q")
        store.sql(f"CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA {{s}} TO {role}")
        store.sql(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {{s}} TO {role}")
        try:
            backend = connect(store.url.replace("jobcore@", f"{role}@"))
            eventually(lambda: backend.wait(["q"], 0.0) == set() and store.healthy())
            backend.close()
        finally:
            store.sql(f"DROP OWNED BY {role}; DROP ROLE {role}")

    def test_where_they_can_not_be_made_that_is_said_once_and_polling_goes_on(
        self, store: Store, caplog: pytest.LogCaptureFixture
    ) -> None:
        backend = store.client("check_triggers=0.001")
        backend.counts("q")
        store.sql("REVOKE EXECUTE ON FUNCTION {s}.ensure_triggers FROM PUBLIC")
        role = f"barred_{os.getpid()}"
        store.sql(f"CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA {{s}} TO {role}")
        store.sql(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {{s}} TO {role}")
        try:
            barred = connect(store.url.replace("jobcore@", f"{role}@") + "&check_triggers=0.001")
            with caplog.at_level(logging.WARNING, "jobcore"):
                eventually(lambda: barred.wait(["q"], 0.01) == set() and len(caplog.records) > 0)
                for _ in range(5):
                    barred.wait(["q"], 0.01)
            store.sql(insert("q"))
            eventually(lambda: barred.wait(["q"], 1.0) == {"q"})
            barred.close()
        finally:
            store.sql(f"DROP OWNED BY {role}; DROP ROLE {role}")
        assert [("polling" in record.message, record.levelname) for record in caplog.records] == [(True, "WARNING")]

    def test_a_listener_that_was_cut_off_listens_again_and_looks_again(self, store: Store) -> None:
        backend, ran = store.client("check_triggers=3600&application_name=cut_off"), list[str]()
        with running(worker(backend, ran)):
            eventually(store.healthy)
            store.sql("DROP TRIGGER jobs_inserted ON {s}.jobs")
            eventually(
                lambda: store.sql(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'cut_off' AND query LIKE 'LISTEN%'"
                )
            )
            eventually(store.healthy, within=BOUND)
            store.sql(insert_job(), "a")
            eventually(lambda: ran == ["a"], within=BOUND)


class TestWaking:
    """With polling off: the looks of who waits find nothing, and a call that waits is as long as the test."""

    @pytest.fixture
    def backend(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> PostgresBackend:
        monkeypatch.setattr(postgres_waiting, "_LONGEST", BOUND)
        monkeypatch.setattr(core_waiting, "_WAIT_SECONDS", BOUND)
        backend = store.client()
        look = backend._waiting._look
        monkeypatch.setattr(backend._waiting, "_look", lambda *given: ({}, look(*given)[1]))
        return backend

    def test_an_insert_of_any_program_wakes_an_idle_worker(self, store: Store, backend: PostgresBackend) -> None:
        ran: list[str] = []
        with running(worker(backend, ran, poll_interval=3600)):
            for word in ("a", "b", "c"):
                eventually(lambda: asleep(store, backend) and store.healthy())
                store.sql(insert_job(), word)
                eventually(partial(ran.__contains__, word), within=BOUND)
            backend.close()

    def test_an_update_that_redrives_wakes_an_idle_worker(self, store: Store, backend: PostgresBackend) -> None:
        ran: list[str] = []
        backend.counts("q")
        store.sql(insert_job().replace("'ready'", "'failed'"), "a")
        with running(worker(backend, ran, poll_interval=3600)):
            eventually(lambda: asleep(store, backend) and store.healthy())
            store.sql("UPDATE {s}.jobs SET state = 'ready', attempt = 0 WHERE state = 'failed'")
            eventually(lambda: ran == ["a"], within=BOUND)
            backend.close()

    def test_thousands_of_statements_leave_one_name(self, store: Store, backend: PostgresBackend) -> None:
        """The listener never blocks, and what it leaves behind is bounded, whoever is slow to come for it."""
        listener = backend._waiting
        with listener._waiter(["q"]) as waiter:
            for _ in range(10_000):
                listener._tell("q")
                listener._tell("of nobody")
            assert waiter.notified == {"q"}

    def test_a_delayed_job_of_any_program_starts_at_its_time(self, store: Store) -> None:
        clock, ran = ManualClock(), list[str]()
        backend = store.client(clock=clock)
        with running(worker(backend, ran, poll_interval=3600)):
            eventually(lambda: asleep(store, backend) and store.healthy())
            store.sql(insert_job(clock.now() + 60_000_000), "later")
            eventually(lambda: backend.counts("q").scheduled == 1)
            clock.advance(59.9)
            assert ran == []
            clock.advance(0.1)
            eventually(lambda: ran == ["later"], within=BOUND)


def worker(backend: PostgresBackend, ran: list[str], **options: Any) -> Worker:
    queue = Queue("q", backend)

    @queue.job
    def note(word: str) -> None:
        ran.append(word)

    return Worker(queue, monitor=False, concurrency=1, **options)


def insert_job(place: int = 0) -> str:
    """An INSERT of a job that notes a word, as psql or any language sends it."""
    return (
        "INSERT INTO {s}.jobs (queue, id, state, rank, place, seq, pushed_at, payload)"
        f" VALUES ('q', gen_random_uuid()::text, 'ready', 0, {place}, 0, 0,"
        " convert_to(json_build_object('job', 'note', 'args', json_build_object('word', %s::text))::text, 'UTF8'))"
    )


def asleep(store: Store, backend: PostgresBackend) -> bool:
    """Whether a call waits that a notification can't pass by."""
    made = store.sql("SELECT to_regclass(%s) IS NOT NULL", f"{store.schema}.sleepers") == [(True,)]
    return made and store.sql("SELECT queue FROM {s}.sleepers") == [("q",)] and bool(backend._waiting._waiters)


@contextmanager
def held(store: Store, mode: str) -> Iterator[None]:
    """Another program holds a lock on the table."""
    with psycopg.connect(store.address) as other:
        other.execute(f'LOCK TABLE "{store.schema}".jobs IN {mode} MODE'.encode())
        yield


def modes(store: Store) -> list[tuple[str, bool]]:
    """The locks on the table, and whether each is held or waited for, but for those of who looks."""
    return store.sql(
        "SELECT mode, granted FROM pg_locks WHERE relation = %s::regclass AND mode <> 'AccessShareLock'",
        f"{store.schema}.jobs",
    )
