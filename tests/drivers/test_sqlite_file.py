"""The SQLite driver and its file: group commits, locks of others, and files that can't be used."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from core.loops import few_threads

from jobcore import open_backend
from jobcore.backend import (
    BackendError,
    Claimed,
    ConfigurationError,
    Counts,
    Fail,
    Keep,
    Push,
    QueueClosed,
    Refused,
    Succeed,
    Unavailable,
    Uncertain,
)
from jobcore.backends.sqlite import SqliteBackend, connect, writer
from jobcore.testing import ManualClock

PATIENCE = 30.0
CALL = bytes(16)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture
def backend(path: Path) -> Iterator[SqliteBackend]:
    made = SqliteBackend(path, clock=ManualClock(), synchronous="NORMAL")
    yield made
    made.close()


@contextmanager
def write_lock(path: Path) -> Iterator[sqlite3.Connection]:
    """Hold the file's write lock, as another process would."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
        db.close()


def until(true: Callable[[], object]) -> None:
    """Wait for a condition that threads bring about."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "it never came"
        threading.Event().wait(0.001)


def claim(backend: SqliteBackend, limit: int = 100, call: bytes = CALL) -> Claimed:
    return backend.claim("q", limit, 1_000_000, "holder", call, 1 << 40)


class TestGroupCommits:
    def test_what_waits_for_the_lock_is_committed_together(self, backend: SqliteBackend, path: Path) -> None:
        backend.push("q", [Push("first", b"")])
        commits: list[str] = []
        backend._file._writer._db.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
        with ThreadPoolExecutor(20) as pool:
            with write_lock(path):
                answers = [pool.submit(backend.push, "q", [Push(f"{n}", b"")]) for n in range(20)]
                until(lambda: len(backend._file._writer._waiting) == 20)
            assert all(answer.result(PATIENCE)[0].created for answer in answers)
        assert commits == ["COMMIT"]
        assert backend.counts("q").ready == 21

    def test_a_change_that_fails_undoes_none_of_its_neighbours(self, backend: SqliteBackend, path: Path) -> None:
        def fail(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM jobcore_jobs")
            raise ZeroDivisionError

        def push(id: str) -> Future[Any]:
            return pool.submit(backend.push, "q", [Push(id, b"")])

        backend.push("q", [Push("first", b"")])
        with ThreadPoolExecutor(3) as pool:
            with write_lock(path):
                before, failing, after = push("before"), pool.submit(backend._file.write, fail), push("after")
                until(lambda: len(backend._file._writer._waiting) == 3)
            assert before.result(PATIENCE)[0].created
            assert after.result(PATIENCE)[0].created
            with pytest.raises(ZeroDivisionError):
                failing.result(PATIENCE)
        assert backend.counts("q").ready == 3

    def test_changes_that_are_made_one_by_one_have_one_timeout_together(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        backend = SqliteBackend(path, timeout=1000.0)
        backend.push("q", [Push("first", b"")])
        left: list[float] = []

        def wait_in_vain(_step: object, timeout: float) -> None:
            left.append(timeout)
            now.append(now[-1] + 400)
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise error

        def fail(_db: sqlite3.Connection) -> None:
            raise ZeroDivisionError

        now = [0.0]
        monkeypatch.setattr(writer, "patiently", wait_in_vain)
        monkeypatch.setattr(writer, "time", SimpleNamespace(monotonic=lambda: now[-1]))
        with ThreadPoolExecutor(3) as pool:
            with write_lock(path):
                answers = [pool.submit(backend._file.write, fail) for _ in range(3)]
                until(lambda: len(backend._file._writer._waiting) == 3)
            for answer in answers:
                with pytest.raises(Unavailable):
                    answer.result(PATIENCE)
        assert left == [1000, 600, 200]
        backend.close()

    def test_of_two_claims_with_one_call_the_second_repeats_the_first(self, backend: SqliteBackend, path: Path) -> None:
        """Both have looked before either wrote, so the look could not tell them that they are one."""
        backend.push("q", [Push("a", b""), Push("b", b"")])
        with ThreadPoolExecutor(2) as pool:
            with write_lock(path):
                given = [pool.submit(claim, backend, 1) for _ in range(2)]
                until(lambda: len(backend._file._writer._waiting) == 2)
            assert [[job.id for job in one.result(PATIENCE).claims] for one in given] == [["a"], ["a"]]
        assert backend.counts("q") == Counts(ready=1, running=1)

    def test_a_change_that_has_begun_is_waited_for(
        self, backend: SqliteBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The timeout bounds how long others' locks are waited for, not the work itself."""
        given_up = threading.Event()

        class Impatient(Future[Any]):
            """Its timeout is over once the change has begun."""

            def result(self, timeout: float | None = None) -> Any:
                if timeout is None:
                    given_up.set()
                    return super().result(PATIENCE)
                until(self.running)
                raise TimeoutError

        monkeypatch.setattr(writer, "Future", Impatient)
        assert backend._file.write(lambda _: given_up.wait(PATIENCE))

    def test_closing_finishes_what_waits(self, backend: SqliteBackend, path: Path) -> None:
        backend.push("q", [Push("first", b"")])
        with ThreadPoolExecutor(2) as pool:
            with write_lock(path):
                answer = pool.submit(backend.push, "q", [Push("late", b"")])
                until(lambda: backend._file._writer._waiting)
                closing = pool.submit(backend.close)
                until(lambda: backend._file._writer._closed)
                with pytest.raises(QueueClosed):
                    backend.push("q", [Push("too late", b"")])
            closing.result(PATIENCE)
            assert answer.result(PATIENCE)[0].created
        again = SqliteBackend(path)
        assert again.counts("q").ready == 2
        again.close()


class TestLocks:
    def test_a_lock_that_is_never_let_go_ends_in_unavailable_and_nothing_is_done(
        self, backend: SqliteBackend, path: Path
    ) -> None:
        backend.push("q", [Push("first", b"")])
        patience, backend._file._writer._timeout = backend._file._writer._timeout, 0.01
        with write_lock(path), pytest.raises(Unavailable, match="locked"):
            backend.push("q", [Push("refused", b"")])
        backend._file._writer._timeout = patience
        backend.push("q", [Push("last", b"")])
        assert [job.id for job in claim(backend).claims] == ["first", "last"]

    def test_the_lock_is_waited_for(self, backend: SqliteBackend, path: Path) -> None:
        backend.push("q", [Push("first", b"")])
        with ThreadPoolExecutor(1) as pool:
            with write_lock(path) as db:
                db.execute("UPDATE jobcore_jobs SET payload = x'00'")
                settled = pool.submit(claim, backend)
                until(lambda: backend._file._writer._waiting)
                db.execute("COMMIT")
            assert [job.payload for job in settled.result(PATIENCE).claims] == [b"\0"]

    def test_looking_waits_for_nobody(self, backend: SqliteBackend, path: Path) -> None:
        backend.push("q", [Push("a", b"")])
        with write_lock(path) as db:
            db.execute("DELETE FROM jobcore_jobs")
            assert backend.counts("q") == Counts(ready=1)
            assert backend.wait(["q"], 1.0) == {"q"}

    def test_claiming_nothing_and_a_repeated_claim_take_no_write_lock(self, backend: SqliteBackend, path: Path) -> None:
        """Law 7: nothing is even begun that could be written."""
        backend.push("q", [Push("a", b"")])
        first = claim(backend)
        with write_lock(path):
            assert claim(backend).claims == first.claims
            assert claim(backend, call=b"another call 123").claims == []
            assert backend.reclaim("q", 9, 1, "holder", b"another call 123") == []

    def test_a_file_is_opened_while_another_writes(self, backend: SqliteBackend, path: Path) -> None:
        backend.push("q", [Push("a", b"")])
        with write_lock(path):
            late = SqliteBackend(path)
            assert late.counts("q").ready == 1
            late.close()


class Failing:
    """A connection on which a statement fails, and undoing it as well."""

    def __init__(self, real: sqlite3.Connection, statement: str, error: Exception) -> None:
        self._real = real
        self._fails = {statement, "ROLLBACK"}
        self._error = error

    def execute(self, statement: str, *given: Any) -> sqlite3.Cursor:
        if statement in self._fails:
            raise self._error
        return self._real.execute(statement, *given)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class TestTrouble:
    def test_a_full_disk_refuses_pushes_and_nothing_else(self, backend: SqliteBackend) -> None:
        backend.push("q", [Push("a", b"")])
        pages = backend._file.write(lambda db: db.execute("PRAGMA page_count").fetchone()[0])
        backend._file.write(lambda db: db.execute(f"PRAGMA max_page_count = {pages + 4}").fetchall())
        with pytest.raises(Refused, match=r"full.*free space"):
            backend.push("q", [Push(f"{n}", bytes(1000)) for n in range(100)])
        assert backend.counts("q") == Counts(ready=1)
        (job,) = claim(backend).claims
        backend.settle("q", [(job.hold, Succeed())], Keep())
        backend._file.write(lambda db: db.execute("PRAGMA max_page_count = 1000").fetchall())
        backend.push("q", [Push(f"{n}", bytes(1000)) for n in range(100)])
        assert backend.counts("q") == Counts(ready=100)

    def test_a_disk_that_fails_during_a_commit_leaves_it_uncertain(self, backend: SqliteBackend, path: Path) -> None:
        backend.push("q", [Push("a", b"")])
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))  # for this process, larger files end here
        try:
            with pytest.raises(Uncertain, match="look at the disk"):
                backend.push("q", [Push("b", bytes(500_000))])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        backend.push("q", [Push("c", bytes(500_000))])
        assert [job.id for job in claim(backend).claims] in (["a", "c"], ["a", "b", "c"])
        assert backend._file.read(lambda db: db.execute("PRAGMA integrity_check").fetchall()) == [("ok",)]

    @pytest.mark.parametrize(("moment", "raised"), [("BEGIN IMMEDIATE", MemoryError), ("COMMIT", Uncertain)])
    def test_memory_that_is_out_fails_a_call_and_not_the_thread_that_writes(
        self, backend: SqliteBackend, moment: str, raised: type[Exception]
    ) -> None:
        """Python has an error of its own for it. What was begun is undone, and the next call goes through."""
        backend.push("q", [Push("a", b"")])
        backend._file._writer._db = Failing(backend._file._writer._db, moment, MemoryError())
        with pytest.raises(raised):
            backend.push("q", [Push("b", b"")])
        assert [pushed.created for pushed in backend.push("q", [Push("a", b""), Push("b", b"")])] == [False, True]

    def test_a_disk_that_is_full_at_a_commit_has_undone_it(self, backend: SqliteBackend) -> None:
        backend.push("q", [Push("a", b"")])
        full = sqlite3.OperationalError("database or disk is full")
        full.sqlite_errorcode = sqlite3.SQLITE_FULL
        backend._file._writer._db = Failing(backend._file._writer._db, "COMMIT", full)
        with pytest.raises(Refused, match=r"full.*free space"):
            backend.push("q", [Push("b", b"")])
        assert [pushed.created for pushed in backend.push("q", [Push("a", b""), Push("b", b"")])] == [False, True]

    def test_a_file_that_can_keep_no_write_ahead_log_is_refused(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As on disks that processes can't share memory through; here it is none at all."""
        connect = sqlite3.connect
        monkeypatch.setattr(sqlite3, "connect", lambda _, **options: connect(":memory:", **options))
        backend = SqliteBackend(path)
        with pytest.raises(Refused, match="choose a local disk"):
            backend.push("q", [Push("a", b"")])
        backend.close()

    def test_who_still_reads_when_it_is_closed_closes_the_connection(self, backend: SqliteBackend) -> None:
        backend.push("q", [Push("a", b"")])
        readers = []

        def look(db: sqlite3.Connection) -> Any:
            backend.close()
            readers.append(db)
            return db.execute("SELECT count(*) FROM jobcore_jobs").fetchone()

        assert backend._file.read(look) == (1,)
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            readers[0].execute("SELECT 1")

    def test_a_file_that_may_only_be_read_is_refused_and_can_be_looked_at(self) -> None:
        folder = Path(tempfile.mkdtemp())
        path = folder / "jobs.db"
        owner = SqliteBackend(path)
        owner.push("q", [Push("a", b"")])
        folder.chmod(0o777)
        path.chmod(0o444)
        for shared in folder.glob("*-*"):
            shared.chmod(0o666)
        answers, answer = os.pipe()
        if (child := os.fork()) == 0:
            try:
                os.write(answer, _as_nobody(path).encode())
            finally:
                os._exit(0)
        os.close(answer)
        with os.fdopen(answers) as said:
            assert "right to write" in said.read()
        os.waitpid(child, 0)
        owner.close()
        shutil.rmtree(folder)

    def test_another_kind_of_file_is_refused(self, path: Path) -> None:
        path.write_bytes(b"a letter, not a database. " * 100)
        backend = SqliteBackend(path)
        for verb in (
            lambda: backend.counts("q"),
            lambda: backend.push("q", [Push("a", b"")]),
            lambda: backend.wait(["q"], 0),
        ):
            with pytest.raises(Refused, match="another kind of file"):
                verb()
        backend.close()
        assert path.read_bytes().startswith(b"a letter")

    def test_a_folder_that_is_not_there_is_unavailable(self, tmp_path: Path) -> None:
        backend = SqliteBackend(tmp_path / "nowhere" / "jobs.db")
        for verb in (lambda: backend.counts("q"), lambda: backend.push("q", [Push("a", b"")])):
            with pytest.raises(Unavailable, match="folder exists"):
                verb()
        (tmp_path / "nowhere").mkdir()
        backend.push("q", [Push("a", b"")])
        assert backend.counts("q").ready == 1
        backend.close()

    def test_tables_of_a_newer_version_are_left_alone(self, backend: SqliteBackend, path: Path) -> None:
        backend.push("q", [Push("a", b"")])
        backend._file.write(lambda db: db.execute("UPDATE jobcore_schema SET version = 99"))
        newcomer = SqliteBackend(path)
        with pytest.raises(ConfigurationError, match="version 99"):
            newcomer.counts("q")
        newcomer.close()

    def test_what_is_not_ours_in_the_file_is_left_alone(self, path: Path) -> None:
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE orders (n)")
            db.execute("PRAGMA user_version = 7")
        backend = SqliteBackend(path)
        backend.push("q", [Push("a", b"")])
        backend.destroy("q")
        backend.close()
        tables = db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'jobcore_%'")
        assert tables.fetchall() == [("orders",)]
        assert db.execute("PRAGMA user_version").fetchone() == (7,)
        db.close()


def _as_nobody(path: Path) -> str:
    """What a user without rights is told who pushes."""
    if os.geteuid() == 0:
        os.setuid(65534)
    backend = SqliteBackend(path)
    try:
        assert backend.counts("q").ready == 1
        backend.push("q", [Push("b", b"")])
    except BackendError as error:
        return f"{type(error).__name__}: {error}"
    return "it was taken"


def test_a_destroyed_queue_leaves_no_row_behind(backend: SqliteBackend) -> None:
    backend.push("q", [Push(id, b"", remember=9) for id in ("finished", "removed", "ready")])
    first, second = claim(backend, 2).claims
    backend.settle("q", [(first.hold, Fail()), (second.hold, Fail())], Keep())
    backend.remove("q", ["removed"])
    backend.destroy("q")
    tables = ("jobcore_jobs", "jobcore_remembered", "jobcore_finished_jobs")
    rows = backend._file.read(lambda db: [db.execute(f"SELECT * FROM {table}").fetchall() for table in tables])
    assert rows == [[], [], []]


def test_expired_ids_are_forgotten_as_others_come(path: Path) -> None:
    clock = ManualClock()
    backend = SqliteBackend(path, clock=clock, synchronous="NORMAL")
    ids = [f"{n}" for n in range(10)]
    backend.push("q", [Push(id, b"", remember=1) for id in ids])
    backend.remove("q", ids)
    clock.advance(1)
    left = []
    for id in ("a", "b", "c"):
        backend.push("q", [Push(f"{id}{n}", b"") for n in range(2)])
        left += backend._file.read(lambda db: db.execute("SELECT count(*) FROM jobcore_remembered").fetchone())
    assert left == [6, 2, 0]
    backend.close()


class TestUrls:
    def test_relative_and_absolute(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        here, there = (
            open_backend("sqlite:///jobs.db"),
            open_backend(f"sqlite:///{tmp_path}/jobs.db?synchronous=normal"),
        )
        monkeypatch.chdir("/")
        here.push("q", [Push("a", b"")])
        assert there.counts("q").ready == 1
        here.close()
        there.close()
        assert (tmp_path / "jobs.db").exists()

    @pytest.mark.parametrize(("option", "level"), [("", 2), ("?synchronous=FULL", 2), ("?synchronous=normal", 1)])
    def test_synchronous(self, path: Path, option: str, level: int) -> None:
        backend = connect(f"sqlite:///{path}{option}")
        assert backend._file.write(lambda db: db.execute("PRAGMA synchronous").fetchone()) == (level,)
        backend.close()

    def test_the_timeout_is_kept_to(self, backend: SqliteBackend, path: Path) -> None:
        backend.push("q", [Push("a", b"")])
        hasty = connect(f"sqlite:///{path}?timeout=0.05")
        with write_lock(path), pytest.raises(Unavailable, match=r"for 0\.05 s"):
            hasty.push("q", [Push("b", b"")])
        hasty.close()

    @pytest.mark.parametrize(
        ("url", "says"),
        [
            ("sqlite://", "sqlite:///relative"),
            ("sqlite:///", "sqlite:///relative"),
            ("sqlite://jobs.db", "sqlite:///relative"),
            ("sqlite:///:memory:", "memory://"),
            ("sqlite:///a.db?timout=3", "timeout"),
            ("sqlite:///a.db?timeout=0", "above 0"),
            ("sqlite:///a.db?timeout=nan", "above 0"),
            ("sqlite:///a.db?synchronous=OFF", "FULL or NORMAL"),
        ],
    )
    def test_what_is_wrong_is_said(self, url: str, says: str) -> None:
        with pytest.raises(ConfigurationError, match=says):
            open_backend(url)

    def test_an_old_sqlite_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
        with pytest.raises(ConfigurationError, match=r"3\.35"):
            connect("sqlite:///a.db")


def test_where_no_thread_can_start_nothing_is_written_and_the_next_call_tries_again(
    backend: SqliteBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    few_threads(monkeypatch, "jobcore-sqlite", 1)
    with pytest.raises(Unavailable, match="thread"):
        backend.push("q", [Push("first", b"")])
    assert backend.push("q", [Push("second", b"")])[0].created
    assert backend.counts("q").ready == 1
