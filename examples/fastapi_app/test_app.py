"""How an application that uses jobcore is tested: with the memory backend, through the real worker."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, text

sys.path.insert(0, str(Path(__file__).parent))

import app as application
from app import Welcome, queue

from jobcore import Worker


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(application, "DATABASE", f"sqlite:///{tmp_path / 'signups.db'}")
    with queue.using("memory://"):
        yield


def outbox() -> list[str]:
    engine = create_engine(application.DATABASE)
    try:
        with engine.begin() as connection:
            return list(connection.execute(text("SELECT recipient FROM outbox")).scalars())
    finally:
        engine.dispose()


def test_signing_up_enqueues_one_mail_however_often() -> None:
    client = TestClient(application.app)  # without `with`: the application's own worker is not started
    for _ in range(2):
        client.post("/signups", json={"email": "a@b.example"})
    assert queue.jobs() == [Welcome("a@b.example")]


def test_the_mail_is_sent() -> None:
    queue.enqueue(Welcome("a@b.example"))
    Worker(queue).run(until_empty=True)
    assert outbox() == ["a@b.example"]


def test_a_busy_mailbox_is_tried_again_later() -> None:
    id = queue.enqueue(Welcome("a@busy.example"))
    Worker(queue).run(until_empty=True)
    entry = queue.find(id)
    assert entry is not None
    assert (entry.state, entry.attempt, entry.reason) == ("scheduled", 1, "mailbox busy")


def test_the_application_runs_its_own_jobs() -> None:
    with TestClient(application.app) as client:
        client.post("/signups", json={"email": "a@b.example"})
    # leaving the application stops its worker, which gives back what it has not begun
    Worker(queue).run(until_empty=True)
    assert outbox() == ["a@b.example"]
