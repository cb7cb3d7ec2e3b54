"""PostgreSQL for whoever speaks SQL: the function that enqueues, the view of all jobs, and what each role may do."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from drivers.brief import BriefSuite
from psycopg import errors
from psycopg.rows import dict_row

from jobcore import Queue
from jobcore.backend import Fail, Keep, Push, Refused, Retry, State, Succeed
from jobcore.backends.postgres import PostgresBackend, connect
from jobcore.conformance import BackendSuite, Harness
from jobcore.conformance.histories import Histories
from jobcore.testing import ManualClock

LEASE = 60_000_000
DOCS = Path(__file__).resolve().parents[2] / "docs/postgres.md"
RUBBISH = [
    b"",
    b"\xff\xfe\x00",
    b"{",
    b"null",
    b"[1, 2]",
    b'"text"',
    b'{"job": 1}',
    b'{"job": "a", "args": {"x": "\\u0000"}}',
    b'{"job": "a", "args": "\\ud800"}',
    b'{"job": "a", "args": NaN}',
    b'{"job": "a", "args": 1e999999}',
    b"[" * 100_000,
]
_numbers = itertools.count()


@pytest.fixture
def schema(postgres_url: str) -> Iterator[str]:
    schema = f"spoken_{os.getpid()}_{next(_numbers)}"
    yield schema
    with psycopg.connect(postgres_url) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


@pytest.fixture
def backend(postgres_url: str, schema: str) -> Iterator[PostgresBackend]:
    backend = connect(f"{postgres_url}?schema={schema}")
    backend._database.make()
    yield backend
    backend.close()


@pytest.fixture
def owner(postgres_url: str) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    with psycopg.connect(postgres_url, autocommit=True, row_factory=dict_row) as connection:
        yield connection


def take(backend: PostgresBackend, limit: int = 1) -> list[Any]:
    return backend.claim("q", limit, LEASE, "me", uuid4().bytes, 10**9).claims


class TestView:
    @pytest.fixture
    def jobs(self, backend: PostgresBackend, schema: str, owner: Any) -> Any:
        """The rows of the view, by id."""
        return lambda: {row["id"]: row for row in owner.execute(f"SELECT * FROM {schema}.all_jobs").fetchall()}

    def test_it_tells_of_each_state_by_our_name_and_by_ihp_s(self, backend: PostgresBackend, jobs: Any) -> None:
        backend.push("q", [Push(id, b"{}") for id in ("succeeded", "failed", "timed_out", "broken", "retried")])
        outcomes = [Succeed(), Fail(), Fail(State.TIMED_OUT), Fail(State.BROKEN), Retry()]
        holds = [claim.hold for claim in take(backend, 5)]
        backend.settle("q", list(zip(holds, outcomes, strict=True)), Keep(succeeded=1))
        backend.push("q", [Push("running", b"{}", priority=1)])
        take(backend)
        backend.push("q", [Push("ready", b"{}"), Push("scheduled", b"{}", delay=10**9)])
        assert {id: (row["state"], row["status"]) for id, row in jobs().items()} == {
            "succeeded": ("succeeded", "succeeded"),
            "failed": ("failed", "failed"),
            "timed_out": ("timed_out", "timed_out"),
            "broken": ("broken", "failed"),
            "retried": ("ready", "retry"),
            "running": ("running", "running"),
            "ready": ("ready", "not_started"),
            "scheduled": ("scheduled", "not_started"),
        }

    def test_it_says_of_a_job_what_the_entry_does(self, backend: PostgresBackend, jobs: Any) -> None:
        payload = b'{"job": "Send", "args": {"to": "\xc3\xa9"}}'
        backend.push("q", [Push("a", payload, priority=7)])
        (claim,) = take(backend)
        backend.settle("q", [(claim.hold, Succeed(b'{"sent": 1}'))], Keep(succeeded=1))
        (entry,) = backend.get("q", ["a"])
        row = jobs()["a"]
        assert entry
        assert (row["queue"], row["job"], row["args"]) == ("q", "Send", {"to": "é"})
        assert (row["priority"], row["attempt"], row["lost"], row["value"]) == (7, 1, 0, {"sent": 1})
        assert row["payload"] == payload
        assert [row[name] and round(row[name].timestamp() * 1_000_000) for name in _TIMES] == [
            entry.place, entry.pushed_at, entry.started_at, entry.lease_until, entry.finished_at,
        ]  # fmt: skip

    def test_it_says_of_a_running_job_who_holds_it_and_until_when(self, backend: PostgresBackend, jobs: Any) -> None:
        backend.push("q", [Push("a", b"{}")])
        take(backend)
        row = jobs()["a"]
        assert (row["holder"], (row["lease_until"] - row["started_at"]).total_seconds()) == ("me", 60)

    @pytest.mark.parametrize("encoding", ["UTF8", "SQL_ASCII", "LATIN1"])
    def test_no_payload_is_an_error(self, postgres_url: str, owner: Any, encoding: str) -> None:
        name = f"view_{encoding}_{os.getpid()}".lower()
        owner.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
        try:
            backend = connect(f"{postgres_url.rpartition('/')[0]}/{name}")
            euro = '{"job": "a", "args": "\\u20ac €"}'.encode()
            backend.push("q", [Push(f"{n}", payload) for n, payload in enumerate([*RUBBISH, euro])])
            backend.close()
            with psycopg.connect(postgres_url.rpartition("/")[0] + f"/{name}") as connection:
                rows = connection.execute("SELECT payload, args FROM jobcore.all_jobs").fetchall()
            assert {row[0] for row in rows} == {*RUBBISH, euro}
            assert {row[1] for row in rows} <= {None, "€ €"}
        finally:
            owner.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def test_ids_that_are_only_remembered_are_no_jobs(self, backend: PostgresBackend, jobs: Any) -> None:
        backend.push("q", [Push("a", b"{}", remember=60)])
        backend.remove("q", ["a"])
        assert jobs() == {}

    def test_what_is_not_asked_for_is_not_decoded(self, schema: str, backend: PostgresBackend, owner: Any) -> None:
        rows = owner.execute(f"EXPLAIN (VERBOSE) SELECT id, status FROM {schema}.all_jobs WHERE queue = 'q'").fetchall()
        assert "decoded" not in f"{rows}"


_TIMES = ("due_at", "pushed_at", "started_at", "lease_until", "finished_at")


def granted(role: str) -> list[str]:
    """The statements that the page gives for a role."""
    (block,) = re.findall(rf"```sql\n-- {role}[:,][^\n]*\n(.*?)```", DOCS.read_text(), re.DOTALL)
    return [statement.strip() for statement in block.split(";") if statement.strip()]


@pytest.fixture
def login(backend: PostgresBackend, schema: str, postgres_url: str, owner: Any) -> Iterator[Any]:
    """Makes a role with what the page grants to it, and gives the URL to connect by as that."""
    made: list[str] = []

    def grant(kind: str) -> str:
        role = f"{schema}_{len(made)}"
        owner.execute(f"CREATE ROLE {role} LOGIN")
        made.append(role)
        for statement in granted(kind):
            owner.execute(re.sub(r"\bTO app\b", f"TO {role}", statement.replace("jobcore", schema)))
        return f"{postgres_url.replace('jobcore@', f'{role}@')}?schema={schema}"

    yield grant
    for role in made:
        owner.execute(f"DROP OWNED BY {role}")
        owner.execute(f"DROP ROLE {role}")


def by_sql(url: str, statement: str) -> list[Any]:
    with psycopg.connect(url.partition("?")[0], autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def refused(url: str, *statements: str) -> None:
    for statement in statements:
        with pytest.raises(errors.InsufficientPrivilege):
            by_sql(url, statement)


class TestRoles:
    """Each may do what the page says, and no more."""

    def test_a_producer_in_sql_enqueues_and_sees_nothing(self, login: Any, schema: str, backend: Any) -> None:
        url = login("A producer in SQL")
        assert by_sql(url, f"SELECT {schema}.enqueue('q', 'Send', id => 'a')") == [("a",)]
        assert [claim.payload for claim in take(backend)] == [b'{"job": "Send", "args": {}}']
        refused(
            url,
            f"SELECT id FROM {schema}.jobs",
            f"SELECT id FROM {schema}.all_jobs",
            f"UPDATE {schema}.jobs SET attempt = 0",
            f"DELETE FROM {schema}.jobs",
        )

    def test_a_producer_in_python_pushes_and_can_not_claim(
        self, login: Any, schema: str, backend: PostgresBackend, owner: Any
    ) -> None:
        url = login("A producer in Python")
        owner.execute(f"INSERT INTO {schema}.sleepers VALUES ('q')")  # someone waits
        with closing(Queue[None]("q", url)) as queue:
            assert queue.enqueue_named("Send", {}, id="a") == "a"
            assert queue.enqueue_named("Send", {}, id="a") == "a"
        producer = connect(url)
        backend.remove("q", ["a"])
        assert [pushed.created for pushed in producer.push("q", [Push("a", b""), Push("b", b"")])] == [False, True]
        for verb in (
            lambda: take(producer),
            lambda: producer.remove("q", ["b"]),
            lambda: producer.redrive("q", ["b"]),
            lambda: producer.get("q", ["b"]),
            lambda: producer.destroy("q"),
        ):
            with pytest.raises(Refused, match="permission denied"):
                verb()
        producer.close()
        refused(url, f"SELECT call, fence FROM {schema}.jobs", f"SELECT args FROM {schema}.all_jobs")

    def test_an_observer_sees_all_and_changes_nothing(self, login: Any, schema: str, backend: PostgresBackend) -> None:
        backend.push("q", [Push("a", b'{"job": "Send", "args": {}}')])
        (claim,) = take(backend)
        url = login("An observer")
        observer = connect(url)
        assert by_sql(url, f"SELECT id, job FROM {schema}.all_jobs") == [("a", "Send")]
        assert observer.counts("q").running == 1
        assert [entry.id for entry in observer.peek("q", State.RUNNING, 9).entries] == ["a"]
        for verb in (
            lambda: observer.push("q", [Push("b", b"")]),
            lambda: take(observer),
            lambda: observer.settle("q", [(claim.hold, Succeed())], Keep()),
            lambda: observer.extend("q", [claim.hold], LEASE),
        ):
            with pytest.raises(Refused, match="permission denied"):
                verb()
        observer.close()
        refused(
            url,
            f"SELECT {schema}.enqueue('q', 'Send')",
            f"UPDATE {schema}.all_jobs SET attempt = 0",
            f"DELETE FROM {schema}.jobs",
        )

    def test_an_observer_of_the_view_sees_no_table(self, login: Any, schema: str, backend: PostgresBackend) -> None:
        url = login("An observer in SQL")
        assert by_sql(url, f"SELECT count(*) FROM {schema}.all_jobs") == [(0,)]
        refused(url, f"SELECT id FROM {schema}.jobs", f"SELECT {schema}.enqueue('q', 'Send')")

    def test_a_worker_can_not_change_the_tables(self, login: Any, schema: str, backend: PostgresBackend) -> None:
        url = login("A worker or monitor")
        refused(
            url,
            f"ALTER TABLE {schema}.jobs ADD other integer",
            f"TRUNCATE {schema}.jobs",
            f"DELETE FROM {schema}.migrations",
            f"CREATE TABLE {schema}.other ()",
        )


class _AsWorker(Harness):
    """A schema that its owner has made, and clients that may only what a worker may."""

    examples = 8

    def __init__(self, url: str) -> None:
        self.clock = ManualClock()
        self._url = url
        self._made: list[PostgresBackend] = []

    def make(self) -> PostgresBackend:
        self._made.append(connect(self._url, clock=self.clock))
        return self._made[-1]

    def close(self) -> None:
        for backend in self._made:
            backend.close()


@pytest.fixture
def as_worker(login: Any) -> Iterator[Harness]:
    harness = _AsWorker(login("A worker or monitor"))
    yield harness
    harness.close()


class TestAsWorker(Histories):
    """What a worker is granted is enough for any history of verbs."""

    effort = BackendSuite.effort

    @pytest.fixture
    def harness(self, as_worker: Harness) -> Harness:
        return as_worker


@pytest.mark.slow
class TestLawsAsWorker(BriefSuite):
    """And for each law by itself."""

    @pytest.fixture
    def harness(self, as_worker: Harness) -> Harness:
        return as_worker
