"""The PostgreSQL driver: the suite, with statements prepared or not, and with notifications or without."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from functools import cache, partial
from typing import Any, Final

import psycopg
import pytest
from sqlalchemy import NullPool, create_engine

from jobcore.backend import Backend, State
from jobcore.backends.postgres import PostgresBackend
from jobcore.conformance import BackendSuite, Client, Harness, Look
from jobcore.connect import open_backend
from jobcore.testing import ManualClock

from servers import postgres

_WAYS: Final = {
    (True, True): "",
    (True, False): ", polled",
    (False, True): ", not prepared",
    (False, False): ", through poolers",
}
"""What a harness's name says of (prepare, notify)."""

_TABLES: Final = ("jobs", "returns", "sleepers", "kept", "uncounted")

_EMPTY: Final = """
    DO $$
    DECLARE
        held regclass;
    BEGIN
        FOR held IN SELECT to_regclass(name) FROM unnest(ARRAY{}) AS name WHERE pg_relation_size(to_regclass(name)) > 0
        LOOP
            EXECUTE format('TRUNCATE %s', held);
        END LOOP;
    END
    $$
"""
"""Empties those of some tables that hold something: most tests use few, and each costs as much as a test."""


@cache
def _make(url: str, schema: str) -> None:
    """Have the driver make its tables, once for all tests."""
    with closing(open_backend(f"{url}?schema={schema}")) as backend:
        backend.counts("q")


class PostgresHarness(Harness):
    """Two schemas on the tests' server, empty when it begins."""

    examples = 40

    def __init__(self, server: postgres.Server, **options: Any) -> None:
        self.clock = ManualClock()
        self.name = f"PostgreSQL {server.version}{_WAYS[options.get('prepare', True), options.get('notify', True)]}"
        self.prompt = options.get("notify", True)
        self._server = server
        self._options = options
        self._schema = f"suite_{os.getpid()}"
        url = server.url.replace("postgresql://", "postgresql+psycopg://", 1)
        self._engine = create_engine(url, poolclass=NullPool, connect_args={"application_name": self._schema})
        self._made: list[PostgresBackend] = []
        schemas = self._schema, f"{self._schema}_apart"
        for schema in schemas:
            _make(server.url, schema)
        self._ask(_EMPTY.format([f"{schema}.{table}" for schema in schemas for table in _TABLES]))

    def make(self) -> PostgresBackend:
        return self._open(self._schema)

    def apart(self) -> PostgresBackend:
        return self._open(f"{self._schema}_apart")

    def unclocked(self) -> PostgresBackend:
        return PostgresBackend(self._engine, schema=self._schema, **self._options)

    def elsewhere(self) -> Callable[[], Backend]:
        options = "".join(f"&{name}=off" for name, on in self._options.items() if not on)
        return partial(open_backend, f"{self._server.url}?schema={self._schema}{options}")

    def cut(self) -> bool:
        self._ask(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{self._schema}'")
        return True

    def restart(self) -> bool:
        if self._server.pid:
            self._server.restart()
        return self._server.pid is not None

    def look(self, queue: str) -> Look:
        rows = self._ask(f"SELECT id, state, payload FROM {self._schema}.jobs WHERE queue = '{queue}'")
        jobs = {id: (State(state), payload) for id, state, payload in rows if state != "remembered"}
        here = f"FROM {self._schema}.%s WHERE queue = '{queue}'"
        return Look(jobs, [table for table in _TABLES if self._ask(f"SELECT 1 {here % table}")])

    def transaction(self) -> AbstractContextManager[Any]:
        return self._engine.begin()

    def work(self, call: Callable[[], object]) -> int:
        """The blocks that the server read for it."""
        before = self._blocks()
        call()
        return self._blocks() - before

    def close(self) -> None:
        for backend in self._made:
            backend.close()

    def _open(self, schema: str) -> PostgresBackend:
        backend = PostgresBackend(self._engine, schema=schema, clock=self.clock, **self._options)
        self._made.append(backend)
        return backend

    def _ask(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a statement of the tests' own."""
        with psycopg.connect(self._server.url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def _blocks(self) -> int:
        for backend in self._made:
            backend._database.connections.call(lambda c: c.execute("SELECT pg_stat_force_next_flush()"))
        ((blocks,),) = self._ask(
            "SELECT coalesce(sum(heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read), 0)::bigint "
            f"FROM pg_statio_user_tables WHERE schemaname = '{self._schema}'"
        )
        return int(blocks)


class OlderHarness(PostgresHarness):
    """Before 15, what was read is told when the server likes: no work is counted."""

    work = Harness.work


def harness_on(server: postgres.Server, **options: Any) -> PostgresHarness:
    return (PostgresHarness if server.version >= 15 else OlderHarness)(server, **options)


class TestPrepared(BackendSuite):
    @pytest.fixture
    def harness(self, postgres_server: postgres.Server) -> Iterator[Harness]:
        harness = harness_on(postgres_server)
        yield harness
        harness.close()

    def test_its_counter_sees_what_a_verb_goes_through(self, harness: Harness, one: Client) -> None:
        ids = [f"{n}" for n in range(1000)]
        one.push(*ids, payload=os.urandom(1500))
        one.entry("0")
        few, many = (harness.work(lambda n=n: one.backend.get("q", ids[:n])) for n in (1, 1000))
        assert few > 0
        assert many > 20 * few


class TestThroughPoolers(BackendSuite):
    """Nothing is prepared, and nothing listened for: what a pooler in transaction mode lets through."""

    @pytest.fixture
    def harness(self, postgres_server: postgres.Server) -> Iterator[Harness]:
        harness = harness_on(postgres_server, prepare=False, notify=False)
        harness.examples = 10
        yield harness
        harness.close()


@pytest.mark.slow
class TestPolled(BackendSuite):
    """Sessions of the driver's own, in which it listens for nothing."""

    @pytest.fixture
    def harness(self, postgres_server: postgres.Server) -> Iterator[Harness]:
        harness = harness_on(postgres_server, notify=False)
        yield harness
        harness.close()


@pytest.mark.slow
class TestNotPrepared(BackendSuite):
    """Nothing is prepared, and yet a session listens."""

    @pytest.fixture
    def harness(self, postgres_server: postgres.Server) -> Iterator[Harness]:
        harness = harness_on(postgres_server, prepare=False)
        yield harness
        harness.close()
