"""PostgreSQL: a destroy that meets others leaves nothing of what it met."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from jobcore.backend import Keep, Push, Succeed
from jobcore.backends.postgres import PostgresBackend, connect
from jobcore.backends.postgres.rows import settle_arrays
from jobcore.conformance.threads import together


@pytest.fixture
def backend(postgres_url: str) -> Iterator[PostgresBackend]:
    schema = f"destroy_{os.getpid()}"
    backend = connect(f"{postgres_url}?schema={schema}")
    yield backend
    backend.close()
    with psycopg.connect(postgres_url) as connection:
        connection.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')


def test_an_id_that_is_being_remembered_meanwhile_is_forgotten(backend: PostgresBackend) -> None:
    """A settlement deletes a job and remembers its id, in a row that a destroy which waited for it can't see."""
    backend.push("q", [Push("a", b"", remember=3600)])
    (claim,) = backend.claim("q", 1, 60_000_000, "me", bytes(16), 10**9).claims
    statements = backend._database.statements
    given = {"queue": "q", "now": None, **settle_arrays({claim.hold: 0}, [(claim.hold, Succeed())], Keep())}
    with backend._database.connections.open() as other, backend._database.connections.open() as watching:

        def commit() -> None:
            until(lambda: is_waiting(watching, "destroy"))
            other.execute("COMMIT")

        other.execute("BEGIN")
        other.execute(statements["settle"], given, binary=True)
        together(lambda: backend.destroy("q"), commit)
    assert backend.push("q", [Push("a", b"")])[0].created


def is_waiting(connection: psycopg.Connection[Any], stem: str) -> bool:
    """Whether some session's statement waits for a lock."""
    waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s"
    return connection.execute(waiting, [f"/* jobcore {stem} */%"]).fetchone() is not None


def until(condition: Callable[[], bool], limit: float = 20.0) -> None:
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        threading.Event().wait(0.01)
