"""PostgreSQL: caps hold by a count, and that is right though other programs change what is kept."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any, Final
from uuid import uuid4

import psycopg
import pytest
from core.loops import eventually

from jobcore.backend import Fail, Keep, Push, State, Succeed
from jobcore.backends.postgres import PostgresBackend, connect

LEASE: Final = 60_000_000
KEEP: Final = Keep(failed=4, succeeded=4)

CHANGES: Final = [
    ("some are deleted", ["DELETE FROM {s}.jobs WHERE id IN ('old1', 'old3')"]),
    ("all are deleted", ["DELETE FROM {s}.jobs WHERE state IN ('failed', 'succeeded')"]),
    ("all are deleted one by one", [f"DELETE FROM {{s}}.jobs WHERE id = 'old{n}'" for n in range(4)]),
    ("some are made ready", ["UPDATE {s}.jobs SET state = 'ready', settled = NULL, place = 8e15 WHERE id < 'old2'"]),
    ("some change their queue", ["UPDATE {s}.jobs SET queue = 'other' WHERE id < 'old2'"]),
    ("some change nothing that matters", ["UPDATE {s}.jobs SET reason = 'seen'"]),
    ("some come in", ["INSERT INTO {s}.jobs TABLE apart"]),
    ("a deletion is rolled back", ["BEGIN", "DELETE FROM {s}.jobs", "ROLLBACK"]),
    ("the table is emptied", ["TRUNCATE {s}.jobs"]),
]


class Scene:
    """A client that settles, and a program that has a plain connection."""

    def __init__(self, url: str, schema: str) -> None:
        self.schema = schema
        self.client = connect(f"{url}?schema={schema}")
        self.program = psycopg.connect(url, autocommit=True)

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement of the other program."""
        cursor = self.program.execute(statement.replace("{s}", self.schema).encode())
        return cursor.fetchall() if cursor.description else []

    def settle(self, outcome: Succeed | Fail, *ids: str, client: PostgresBackend | None = None) -> None:
        """Settle jobs of these ids, one after the other."""
        backend = client or self.client
        for id in ids:
            backend.push("q", [Push(id, b"")])
            (claim,) = backend.claim("q", 1, LEASE, "me", uuid4().bytes, 1).claims
            backend.settle("q", [(claim.hold, outcome)], KEEP)

    def kept(self, outcome: Succeed | Fail) -> list[str]:
        """What the queue keeps, oldest first."""
        state = State.SUCCEEDED if isinstance(outcome, Succeed) else State.FAILED
        return [entry.id for entry in self.client.peek("q", state, 100).entries][::-1]

    def close(self) -> None:
        self.client.close()
        self.program.close()


@pytest.fixture(scope="module")
def schema(postgres_url: str) -> Iterator[str]:
    scene = Scene(postgres_url, f"kept_{os.getpid()}")
    scene.client.migrate()
    assert scene.sql("SELECT {s}.ensure_triggers()") == [("mended",)]
    yield scene.schema
    scene.sql("DROP SCHEMA {s} CASCADE")
    scene.close()


@pytest.fixture
def scene(postgres_url: str, schema: str) -> Iterator[Scene]:
    """One whose client has counted, and won't do so again for a minute."""
    scene = Scene(postgres_url, schema)
    scene.sql("TRUNCATE {s}.jobs, {s}.kept, {s}.uncounted")
    for outcome in (Fail(), Succeed()):
        scene.settle(outcome, "first")
        scene.client.remove("q", ["first"])
    yield scene
    scene.close()


@pytest.mark.parametrize("outcome", [Fail(), Succeed()], ids=["failed", "succeeded"])
@pytest.mark.parametrize("statements", [each for _, each in CHANGES], ids=[title for title, _ in CHANGES])
def test_the_newest_are_kept_whatever_other_programs_do(scene: Scene, outcome: Any, statements: list[str]) -> None:
    """As many as the cap says, of those that the other program has left there."""
    scene.settle(outcome, "apart")
    scene.sql("CREATE TEMPORARY TABLE apart AS TABLE {s}.jobs")
    scene.settle(outcome, *(f"old{n}" for n in range(4)))
    assert scene.kept(outcome) == ["old0", "old1", "old2", "old3"]
    for statement in statements:
        scene.sql(statement)
    there = scene.kept(outcome)
    for n in range(5):
        scene.settle(outcome, f"new{n}")
        there = [*there, f"new{n}"][-4:]
        assert scene.kept(outcome) == there


def test_a_deletion_that_is_under_way_holds_up_nobody(scene: Scene) -> None:
    scene.settle(Fail(), "old0", "old1", "old2")
    scene.sql("BEGIN")
    scene.sql("DELETE FROM {s}.jobs WHERE id <> 'old0'")
    scene.settle(Fail(), "new0", "new1")
    assert scene.kept(Fail()) == ["old1", "old2", "new0", "new1"]
    scene.sql("COMMIT")
    scene.settle(Fail(), "new2", "new3")
    assert scene.kept(Fail()) == ["new0", "new1", "new2", "new3"]


def test_what_is_deleted_by_both_at_once_is_counted_once(scene: Scene) -> None:
    scene.settle(Fail(), "old0", "old1", "old2", "old3")
    scene.sql("BEGIN")
    scene.sql("DELETE FROM {s}.jobs WHERE id < 'old2'")
    settling = threading.Thread(target=scene.settle, args=(Fail(), "new0"))
    settling.start()  # … and wait for old0
    eventually(lambda: scene.sql("SELECT 1 FROM pg_locks WHERE NOT granted"))
    scene.sql("COMMIT")
    settling.join()
    scene.settle(Fail(), "new1", "new2")
    assert scene.kept(Fail()) == ["old3", "new0", "new1", "new2"]


def test_a_count_is_not_told_twice_of_one_change(scene: Scene, postgres_url: str) -> None:
    """Whoever counts anew has seen what was changed."""
    scene.settle(Fail(), "old0", "old1", "old2", "old3")
    scene.sql("DELETE FROM {s}.jobs WHERE id < 'old2'")
    other = connect(f"{postgres_url}?schema={scene.schema}")
    scene.settle(Fail(), "new0", client=other)  # its first, so it counts
    other.close()
    scene.settle(Fail(), "new1", "new2")
    assert scene.kept(Fail()) == ["old3", "new0", "new1", "new2"]


def test_what_is_told_does_not_pile_up(scene: Scene) -> None:
    for n in range(5):
        scene.settle(Fail(), f"{n}")
        scene.sql("DELETE FROM {s}.jobs WHERE state = 'failed'")
    scene.settle(Fail(), "last")
    assert scene.sql("SELECT * FROM {s}.uncounted") == []


def test_nothing_is_told_of_what_the_driver_does(scene: Scene) -> None:
    scene.settle(Fail(), "a", "b", "c")
    scene.client.remove("q", ["a"])
    scene.client.redrive("q", ["b"])
    scene.client.destroy("q")
    assert scene.sql("SELECT * FROM {s}.uncounted") == []
