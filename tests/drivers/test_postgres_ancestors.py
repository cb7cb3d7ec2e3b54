"""What IHP.Job.Queue does within PostgreSQL, each named; what it does anywhere is in tests/core/test_ancestors.py."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from functools import partial
from uuid import uuid4

import psycopg
import pytest
from core.loops import Told, eventually, running, states

from jobcore import Queue, Worker
from jobcore.backend import Keep, Push, State, Succeed
from jobcore.backends.postgres import PostgresBackend, connect
from jobcore.events import Kind

SCHEMA = f"ihp_{os.getpid()}"
BOUND = 20.0


@pytest.fixture
def backend(postgres_url: str) -> Iterator[PostgresBackend]:
    backend = connect(f"{postgres_url}?schema={SCHEMA}")
    yield backend
    backend.close()
    with psycopg.connect(postgres_url) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")


def claimed(backend: PostgresBackend, limit: int = 1) -> list[str]:
    claims = backend.claim("q", limit, 60_000_000, "worker", uuid4().bytes, 1 << 20).claims
    return [claim.id for claim in claims]


def test_ihp_a_job_is_fetched_by_an_update_that_skips_what_others_have_locked(
    backend: PostgresBackend, postgres_url: str
) -> None:
    backend.push("q", [Push("locked", b"{}"), Push("free", b"{}")])
    with psycopg.connect(postgres_url) as other:
        other.execute(f"SELECT FROM {SCHEMA}.jobs WHERE id = 'locked' FOR UPDATE")
        assert claimed(backend) == ["free"]


def test_ihp_fetching_sets_status_holder_time_and_attempts_in_the_row(
    backend: PostgresBackend, postgres_url: str
) -> None:
    backend.push("q", [Push("a", b"{}")])
    claimed(backend)
    with psycopg.connect(postgres_url) as other:
        rows = other.execute(f"SELECT state, holder, attempt, started_at > 0 FROM {SCHEMA}.jobs").fetchall()
    assert rows == [("running", "worker", 1, True)]


def test_ihp_a_watcher_is_woken_by_a_notification(backend: PostgresBackend, postgres_url: str) -> None:
    """A job that is pushed by another client, in SQL, wakes whoever waits."""
    backend.counts("q")  # makes the schema
    found: set[str] = set()

    def watch() -> None:
        while not found and not given_up.is_set():
            found.update(backend.wait(["q"], 1.0))

    given_up = threading.Event()
    watcher = threading.Thread(target=watch)
    watcher.start()
    with psycopg.connect(postgres_url, autocommit=True) as other:
        other.execute(f"SELECT {SCHEMA}.enqueue('q', 'SendEmail', '{{}}')")
    watcher.join(BOUND)
    given_up.set()
    assert found == {"q"}


def test_ihp_a_cached_plan_error_under_a_running_worker_is_retried_and_nobody_notices(
    backend: PostgresBackend, postgres_url: str
) -> None:
    queue, told, ran = Queue("q", backend), Told(), list[int]()

    @queue.job
    def note(number: int) -> None:
        ran.append(number)

    with (
        psycopg.connect(postgres_url, autocommit=True) as other,
        running(Worker(queue, concurrency=1, lease=1, on_event=told)),
    ):
        for number, type in enumerate(["bigint", "integer"] * 5):  # what a claim gives is of another type each time
            note.enqueue(number)
            eventually(partial(ran.__contains__, number))
            other.execute(f"DROP VIEW IF EXISTS {SCHEMA}.all_jobs")  # it would forbid it
            other.execute(f"ALTER TABLE {SCHEMA}.jobs ALTER COLUMN attempt TYPE {type}")
        eventually(lambda: states(queue) == {})
    assert ran == [*range(10)]
    assert {*told.kinds()} == {Kind.STARTED, Kind.SUCCEEDED}


def test_ihp_a_cached_plan_error_is_retried_once(backend: PostgresBackend, postgres_url: str) -> None:
    backend.push("q", [Push("a", b"{}")])
    for _ in range(10):  # until the statements are prepared
        backend.get("q", ["a"])
    with psycopg.connect(postgres_url) as other:
        other.execute(f"DROP VIEW {SCHEMA}.all_jobs")  # it would forbid it
        other.execute(f"ALTER TABLE {SCHEMA}.jobs ALTER COLUMN holder TYPE varchar(300)")
    assert [entry and entry.state for entry in backend.get("q", ["a"])] == [State.READY]
    (claim,) = backend.claim("q", 1, 60_000_000, "worker", uuid4().bytes, 1 << 20).claims
    backend.settle("q", [(claim.hold, Succeed())], Keep())
    assert backend.get("q", ["a"]) == [None]
