"""Transactional work under kill -9 and SIGSTOP: what jobs write in PostgreSQL is there once, wherever their worker was.

Five jobs of one worker come to five points of their work, and wait there for each other. Then the process is killed, or
stopped past its lease; another worker does what is left; and the first, if it lives, goes on where it stood.
"""

from __future__ import annotations

import secrets
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from core.loops import eventually
from faults.command import BOUND, Command

from jobcore import Queue
from jobcore.backend import Counts

APP = '''
import os
import signal
import threading

import psycopg
from sqlalchemy import text

from jobcore import ExceptionBehavior, JobContext, LinearBackoff, Queue

POINTS = ["before the first write", "after the writes", "before the settle", "before COMMIT", "after COMMIT"]

queue = Queue("ledger", on_exception=ExceptionBehavior.RETRY, backoff=LinearBackoff(0), max_lost=100)
end = getattr(signal, os.environ["END"]) if "END" in os.environ else None
gathering = threading.Barrier(len(POINTS), action=lambda: os.kill(os.getpid(), end))
here = threading.local()

def at(point):
    """The first time that a job comes to its point, it waits for the others to come to theirs."""
    if end and getattr(here, "point", None) == point:
        here.point = None
        gathering.wait()

def watched(execute):
    def run(cursor, query, *arguments, **options):
        if str(query).startswith("/* jobcore settle */"):
            at("before the settle")
        return execute(cursor, query, *arguments, **options)
    return run

def commit(connection, commit=psycopg.Connection.commit):
    at("before COMMIT")
    commit(connection)
    at("after COMMIT")

psycopg.Cursor.execute = watched(psycopg.Cursor.execute)
psycopg.Connection.commit = commit

@queue.job(context=True)
def earn(context: JobContext[None], number: int, apart: bool) -> None:
    here.point = POINTS[number] if number < len(POINTS) else None
    transaction = context.transaction()
    connection = own() if apart else transaction
    at("before the first write")
    for word in ("debit", "credit"):
        connection.execute(text("INSERT INTO ledger VALUES (:number, :word)"), {"number": number, "word": word})
    at("after the writes")
    if number % 3 == 2 and context.attempt == 1:
        raise ValueError("try again")

def own():
    """A connection that has nothing to do with the job's success."""
    from sqlalchemy import create_engine
    return create_engine(os.environ["ENGINE"], isolation_level="AUTOCOMMIT").connect()
'''
JOBS = 30


class Ledger:
    """A queue of jobs that each write two rows, in a folder from which workers are started."""

    def __init__(self, folder: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        schema = f"ledger_{secrets.token_hex(4)}"
        self.folder = folder
        self.connection = psycopg.connect(url, autocommit=True)
        self.connection.execute("CREATE TABLE IF NOT EXISTS ledger (number integer, word text)")
        self.connection.execute("TRUNCATE ledger")
        # A client that stands still between its settlement and its COMMIT is given up after half of the timeout.
        monkeypatch.setenv("JOBCORE_URL", f"{url}?schema={schema}&timeout=2")
        monkeypatch.setenv("ENGINE", url.replace("postgresql://", "postgresql+psycopg://", 1))
        (folder / "app.py").write_text(APP)
        self.queue: Queue[None] = Queue("ledger")

    def enqueue(self, *, apart: bool = False) -> None:
        for number in range(JOBS):
            self.queue.enqueue_named("earn", {"number": number, "apart": apart})

    def worker(self) -> Command:
        return Command(self.folder, "worker", "app:queue", "--lease=1s", "--concurrency=8")

    def rows(self) -> Counter[tuple[int, str]]:
        return Counter(self.connection.execute("SELECT number, word FROM ledger").fetchall())

    def drained(self) -> bool:
        return self.queue.counts() == Counts()

    def close(self) -> None:
        self.queue.close()
        self.connection.close()


@pytest.fixture
def ledger(tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path, postgres_url, monkeypatch)
    yield ledger
    ledger.close()


def is_down(pid: int) -> bool:
    """Whether a child of ours is stopped, or has ended and not been waited for."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] in "TZ"


def play(ledger: Ledger, end: str, monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[int, str]]:
    """Have a worker end so in the midst, and another one do the rest; gives what is in the ledger then."""
    with monkeypatch.context() as patch:
        patch.setenv("END", end)
        first = ledger.worker()
    second = None
    try:
        eventually(lambda: is_down(first.pid), within=BOUND, every=0.05)
        assert not ledger.drained()
        second = ledger.worker()
        eventually(ledger.drained, within=BOUND, every=0.05)
        first.send(signal.SIGCONT)
        first.send(signal.SIGTERM)
        first.ended()
    finally:
        first.close()
        if second is not None:
            second.close()
    return ledger.rows()


ONCE = Counter((number, word) for number in range(JOBS) for word in ("debit", "credit"))


@pytest.mark.parametrize("end", ["SIGKILL", "SIGSTOP"])
def test_a_ledger_counts_each_job_once(ledger: Ledger, end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.enqueue()
    assert play(ledger, end, monkeypatch) == ONCE


@pytest.mark.slow
def test_what_is_written_apart_is_counted_twice(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same faults, and writes that know nothing of the job: so they do bite."""
    ledger.enqueue(apart=True)
    assert play(ledger, "SIGKILL", monkeypatch) > ONCE
