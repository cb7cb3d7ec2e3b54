"""The PostgreSQL driver: the suite, on both ways to send statements."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine

from jobcore.backends.postgres import PostgresBackend
from jobcore.conformance import BackendSuite, Harness
from jobcore.testing import ManualClock


@pytest.fixture(scope="session")
def engine(postgres_url: str) -> Iterator[Engine]:
    engine = create_engine(postgres_url.replace("postgresql://", "postgresql+psycopg://", 1))
    yield engine
    engine.dispose()


class PostgresHarness(Harness):
    """Two schemas on the tests' server, empty when it begins."""

    examples = 40

    def __init__(self, engine: Engine, **options: Any) -> None:
        self.clock = ManualClock()
        self._engine = engine
        self._options = options
        self._schema = f"suite_{os.getpid()}"
        self._made: list[PostgresBackend] = []
        for backend in (self.make(), self.apart()):
            with engine.begin() as connection:
                backend._database.make()
                schema = backend._database.statements.schema
                connection.exec_driver_sql(f"TRUNCATE {schema}.jobs, {schema}.returns, {schema}.sleepers")

    def make(self) -> PostgresBackend:
        return self._open(self._schema)

    def apart(self) -> PostgresBackend:
        return self._open(f"{self._schema}_apart")

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

    def _blocks(self) -> int:
        for backend in self._made:
            backend._database.connections.call(lambda c: c.execute("SELECT pg_stat_force_next_flush()"))
        with self._engine.connect() as connection:
            (blocks,) = connection.exec_driver_sql(
                "SELECT coalesce(sum(heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read), 0)::bigint "
                f"FROM pg_statio_user_tables WHERE schemaname = '{self._schema}'"
            ).one()
            return int(blocks)


class TestPrepared(BackendSuite):
    @pytest.fixture
    def harness(self, engine: Engine) -> Iterator[Harness]:
        harness = PostgresHarness(engine)
        yield harness
        harness.close()


class TestThroughPoolers(BackendSuite):
    """Nothing is prepared, and nothing listened for: what a pooler in transaction mode lets through."""

    @pytest.fixture
    def harness(self, engine: Engine) -> Iterator[Harness]:
        harness = PostgresHarness(engine, prepare=False, notify=False)
        harness.prompt = False
        harness.examples = 10
        yield harness
        harness.close()
