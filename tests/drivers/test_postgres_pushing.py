"""PostgreSQL: pushes, which are first tried as if all that they store were new."""

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


def test_one_that_is_known_after_all_is_told_so(backend: PostgresBackend) -> None:
    backend.push("q", [Push("a", b"first")])
    assert backend.push("q", [Push("a", b"second", delay=1)]) == [Pushed("a", created=False, state=State.READY)]
    assert [each and each.payload for each in backend.get("q", ["a"])] == [b"first"]


@pytest.mark.parametrize("remember", [0, 60])
@pytest.mark.parametrize("size", [1, 5])
def test_each_job_keeps_what_was_said_of_it_alone(backend: PostgresBackend, size: int, remember: int) -> None:
    pushes = [
        Push("plain", b"1", remember=remember),
        Push("late", b"2", delay=5, remember=remember),
        Push("past", b"3", run_at=NOW - 5, remember=remember),
        Push("fixed", b"4", run_at=NOW + 7, priority=-100, remember=remember),
        Push("first", b"5", priority=100, remember=remember),
    ]
    answers = [answer for n in range(0, 5, size) for answer in backend.push("q", pushes[n : n + size])]
    assert [answer.state for answer in answers] == [
        State.READY, State.SCHEDULED, State.READY, State.SCHEDULED, State.READY,
    ]  # fmt: skip
    stored = [(each.priority, each.place - NOW) for each in backend.get("q", [push.id for push in pushes]) if each]
    assert stored == [(0, 0), (0, 5), (0, 0), (-100, 7), (100, 0)]
    ready = backend.peek("q", State.READY, 10).entries
    assert [each.id for each in ready] == ["first", "plain", "past"]
