"""The SQLite driver: the suite, its plans, and the steps that its statements take."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from jobcore.backend import Backend, State
from jobcore.backends.sqlite import SqliteBackend
from jobcore.backends.sqlite.scripts import script
from jobcore.conformance import BackendSuite, Client, Harness, Look
from jobcore.testing import ManualClock


class SqliteHarness(Harness):
    """One file in a folder of its own. Nothing here pulls the plug, so the disk need not be waited for."""

    name = "SQLite"

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self._folder = folder
        self._file, self._log = folder / "jobs.db", folder / "jobs.db-wal"
        self._made: list[SqliteBackend] = []

    def make(self) -> Backend:
        self._made.append(SqliteBackend(self._file, clock=self.clock, synchronous="NORMAL"))
        return self._made[-1]

    def unclocked(self) -> Backend:
        return SqliteBackend(self._file, synchronous="NORMAL")

    def elsewhere(self) -> Callable[[], Backend]:
        return partial(SqliteBackend, self._file, synchronous="NORMAL")

    def restart(self) -> bool:
        """Go on with what a process that is killed now would leave: the file and its log, without a last checkpoint."""
        left = {path: path.read_bytes() for path in (self._file, self._log)}
        for backend in self._made:
            backend._file.disconnect()
        for path, content in left.items():
            path.write_bytes(content)
        return True

    def look(self, queue: str) -> Look:
        with closing(sqlite3.connect(self._file)) as db:
            rows = db.execute("SELECT id, state, payload FROM jobcore_jobs WHERE queue = ?", [queue])
            jobs = {id: (State(state), payload) for id, state, payload in rows}
            names = db.execute("SELECT tbl_name FROM sqlite_schema WHERE sql LIKE '%queue TEXT%'").fetchall()
            counted = {name: db.execute(f"SELECT count(*) FROM {name} WHERE queue = ?", [queue]) for (name,) in names}
            return Look(jobs, [name for name, count in counted.items() if count.fetchone() != (0,)])

    def apart(self) -> Backend:
        return SqliteBackend(self._folder / "others.db", clock=self.clock, synchronous="NORMAL")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._file)) as db, db:
            db.execute("BEGIN IMMEDIATE")
            yield db

    def work(self, call: Callable[[], object]) -> int:
        """The steps of SQLite's virtual machine, counted on the connections that are open by now."""
        steps = 0

        def step() -> int:
            nonlocal steps
            steps += 1
            return 0

        connections = [db for backend in self._made for db in _connections(backend)]
        for db in connections:
            db.set_progress_handler(step, 1)
        call()
        for db in connections:
            db.set_progress_handler(None, 0)
        assert steps, "no connection was watched"
        return steps


def _connections(backend: SqliteBackend) -> Iterator[sqlite3.Connection]:
    yield from backend._file._idle
    if backend._file._writer._db:
        yield backend._file._writer._db


class TestSqlite(BackendSuite):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> Harness:
        return SqliteHarness(tmp_path)

    def test_its_counter_sees_what_a_verb_goes_through(self, harness: Harness, one: Client) -> None:
        ids = [f"{n}" for n in range(1000)]
        one.push(*ids, payload=os.urandom(1500))
        one.entry("0")
        few, many = (harness.work(lambda n=n: one.backend.get("q", ids[:n])) for n in (1, 1000))
        assert few > 0
        assert many > 20 * few


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[SqliteBackend]:
    made = SqliteBackend(tmp_path / "jobs.db", clock=ManualClock(), synchronous="NORMAL")
    yield made
    made.close()


PLANS = {
    "bands": {"SEARCH jobcore_jobs USING COVERING INDEX jobcore_ready (queue=? AND state=? AND priority<?)"},
    "waiting": {
        (
            "SEARCH jobcore_jobs USING COVERING INDEX jobcore_ready "
            "(queue=? AND state=? AND priority=? AND place>? AND place<?)"
        )
    },
    "due": {"SEARCH jobcore_jobs USING INDEX jobcore_ready (queue=? AND state=? AND priority=? AND place<?)"},
    "first": {"SEARCH jobcore_jobs USING COVERING INDEX jobcore_ready (queue=? AND state=? AND priority=?)"},
    "counts": {
        "SEARCH jobcore_jobs USING COVERING INDEX jobcore_ready (queue=? AND state=?)",
        "SEARCH jobcore_jobs USING COVERING INDEX jobcore_running (queue=? AND call>?)",
        "SEARCH jobcore_finished_jobs USING PRIMARY KEY (queue=?)",
    },
    "claim": {"SEARCH jobcore_jobs USING INTEGER PRIMARY KEY (rowid=?)"},
    "held": {"SEARCH jobcore_jobs USING INDEX jobcore_running (queue=? AND call=?)"},
    "extend": {"SEARCH jobcore_jobs USING INDEX jobcore_id (queue=? AND id=?)"},
    "settle_drop": {
        "SEARCH jobcore_jobs USING INTEGER PRIMARY KEY (rowid=?)",
        "SEARCH job USING INDEX jobcore_id (queue=? AND id=?)",
    },
    "settle_finish": {"SEARCH jobcore_jobs USING INDEX jobcore_id (queue=? AND id=?)", "SEARCH jobcore_jobs"},
    "settle_retry": {"SEARCH jobcore_jobs USING INDEX jobcore_id (queue=? AND id=?)", "SEARCH jobcore_jobs"},
    "settle_return": {"SEARCH jobcore_jobs USING INDEX jobcore_id (queue=? AND id=?)"},
    "settle_trim": {
        "SEARCH jobcore_jobs USING INTEGER PRIMARY KEY (rowid=?)",
        "SEARCH jobcore_jobs USING COVERING INDEX jobcore_finished (queue=? AND state=?)",
        "SEARCH jobcore_finished_jobs USING PRIMARY KEY (queue=? AND state=?)",
    },
    "push": {"SEARCH jobcore_remembered USING PRIMARY KEY (queue=? AND id=?)"},
    "push_forget": {
        "SEARCH jobcore_remembered USING PRIMARY KEY (queue=? AND id=?)",
        "SEARCH jobcore_remembered USING COVERING INDEX jobcore_until (until<?)",
    },
    "peek_finished": {"SEARCH jobcore_jobs USING COVERING INDEX jobcore_finished (queue=? AND state=? AND rowid<?)"},
}


@pytest.mark.parametrize("name", PLANS)
def test_statements_seek(backend: SqliteBackend, name: str) -> None:
    """Law 12: no table is scanned, and what waits is not sorted. SEARCH without an index is the largest n's seek."""
    plan = backend._file.read(lambda db: _plan(db, name))
    touched = {line for line in plan if "jobcore_" in line or " job " in line}
    assert touched == PLANS[name]
    assert not any("TEMP B-TREE" in line for line in plan) or name == "held"


def _plan(db: sqlite3.Connection, name: str) -> list[str]:
    parameters = dict.fromkeys(re.findall(r":(\w+)", script(name)))
    return [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {script(name)}", parameters)]
