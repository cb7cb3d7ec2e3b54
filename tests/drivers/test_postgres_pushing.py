"""PostgreSQL: pushes of several, which are first tried as if all of them were new."""

from __future__ import annotations

import os
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import create_engine

from jobcore.backend import Push, Pushed, State
from jobcore.backends.postgres import PostgresBackend
from jobcore.testing import ManualClock

NOW = 1_700_000_000_000_000


@pytest.fixture
def backend(postgres_url: str) -> Iterator[PostgresBackend]:
    schema = f"pushing_{os.getpid()}"
    engine = create_engine(postgres_url.replace("postgresql://", "postgresql+psycopg://"))
    backend = PostgresBackend(engine, schema=schema, clock=ManualClock(NOW))
    yield backend
    backend.close()
    engine.dispose()
    with psycopg.connect(postgres_url) as connection:
        connection.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE'.encode())


def test_what_is_new_is_told_from_what_is_known_wherever_it_stands(backend: PostgresBackend) -> None:
    backend.push("q", [Push("b", b"first"), Push("z", b"")])
    answers = backend.push("q", [Push("a", b""), Push("b", b"second"), Push("c", b"", delay=1)])
    assert answers == [
        Pushed("a", created=True, state=State.READY),
        Pushed("b", created=False, state=State.READY),
        Pushed("c", created=True, state=State.SCHEDULED),
    ]
    assert [each and each.payload for each in backend.get("q", ["a", "b", "c"])] == [b"", b"first", b""]


def test_an_id_that_comes_twice_in_a_batch_is_stored_once(backend: PostgresBackend) -> None:
    answers = backend.push("q", [Push("a", b"first"), Push("b", b""), Push("a", b"second")])
    assert [answer.created for answer in answers] == [True, True, False]
    assert [each and each.payload for each in backend.get("q", ["a"])] == [b"first"]


def test_each_of_a_batch_keeps_what_was_said_of_it_alone(backend: PostgresBackend) -> None:
    pushes = [
        Push("plain", b"1"),
        Push("late", b"2", delay=5),
        Push("past", b"3", run_at=NOW - 5),
        Push("fixed", b"4", run_at=NOW + 7, priority=-100),
        Push("first", b"5", priority=100),
    ]
    answers = backend.push("q", pushes)
    assert [answer.state for answer in answers] == [
        State.READY, State.SCHEDULED, State.READY, State.SCHEDULED, State.READY,
    ]  # fmt: skip
    stored = [(each.priority, each.place - NOW) for each in backend.get("q", [push.id for push in pushes]) if each]
    assert stored == [(0, 0), (0, 5), (0, 0), (-100, 7), (100, 0)]
    ready = backend.peek("q", State.READY, 10).entries
    assert [each.id for each in ready] == ["first", "plain", "past"]
