"""The SQLite driver among processes: many at work on one file, killed, forked, and woken.

Run as a program, this file is one of the others: `python test_sqlite_processes.py ROLE PATH NAME`.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

import pytest

from jobcore.backend import Answer, Claim, Keep, Push, Retry, Succeed
from jobcore.backends.sqlite import SqliteBackend

HOUR, ROOMY = 3_600_000_000, 1 << 40
PATIENCE = 60.0
ROUNDS = 20
PROMPT = 10.0
"""Seconds for all rounds: two processes that wake each other only after a second's wait take forty."""


# -- what the other processes do


def push_and_drain(backend: SqliteBackend, name: str) -> None:
    """Push from two threads, one job at a time, then work until nothing is left; say what was settled."""
    threads = [threading.Thread(target=push_some, args=(backend, f"{name}-{half}")) for half in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while claims := claim(backend, 7):
        say("settled", settle(backend, claims))


def push_some(backend: SqliteBackend, name: str) -> None:
    for n in range(50):
        backend.push("q", [Push(f"{name}{n}", b"{}")])


def live_dangerously(backend: SqliteBackend, name: str) -> None:
    """Push, retry and settle for ever; say what was acknowledged."""
    for n in count():
        ids = [f"{name}{n}.{m}" for m in range(5)]
        backend.push("q", [Push(id, b"x" * 5000) for id in ids])
        say("pushed", ids)
        first, second, *_ = claim(backend, 3)
        backend.settle("q", [(first.hold, Retry())], Keep())
        say("settled", settle(backend, [second]))


def echo(backend: SqliteBackend, _name: str) -> None:
    """Answer each job in "ping" by one in "pong"."""
    for _ in range(ROUNDS):
        backend.push("pong", [Push(take_next(backend, "ping"), b"")])


def claim(backend: SqliteBackend, limit: int, queue: str = "q") -> list[Claim]:
    return backend.claim(queue, limit, HOUR, "holder", os.urandom(16), ROOMY).claims


def settle(backend: SqliteBackend, claims: list[Claim], queue: str = "q") -> list[str]:
    answers = backend.settle(queue, [(claim.hold, Succeed()) for claim in claims], Keep())
    return [claim.id for claim, answer in zip(claims, answers, strict=True) if answer is Answer.DONE]


def take_next(backend: SqliteBackend, queue: str) -> str:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if backend.wait([queue], 1.0) and (claims := claim(backend, 1, queue)):
            (id,) = settle(backend, claims, queue)
            return id
    raise AssertionError("nobody pushed")


def say(what: str, ids: list[str]) -> None:
    """Tell the parent, in one write."""
    os.write(1, "".join(f"{what} {id}\n" for id in ids).encode())


# -- the tests


@contextmanager
def other(role: Callable[[SqliteBackend, str], None], path: Path, name: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, __file__, role.__name__, str(path), name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture
def backend(path: Path) -> Iterator[SqliteBackend]:
    made = SqliteBackend(path)
    yield made
    made.close()


def test_processes_at_once_lose_and_repeat_nothing(path: Path) -> None:
    """They all begin with no file, so they make it, its log and its tables at once, too."""
    names = ["p", "q", "r"]
    with ExitStack() as stack:
        processes = [stack.enter_context(other(push_and_drain, path, name)) for name in names]
        outputs = [process.communicate(timeout=PATIENCE)[0] for process in processes]
        assert [process.returncode for process in processes] == [0, 0, 0]
    settled = [line.split()[1] for output in outputs for line in output.splitlines()]
    assert sorted(settled) == sorted(f"{name}-{half}{n}" for name in names for half in "ab" for n in range(50))


@pytest.mark.parametrize("after", [7, 60, 153])
def test_what_was_acknowledged_survives_a_kill(path: Path, after: int) -> None:
    pushed, settled = set(), set()
    with other(live_dangerously, path, "j") as process:
        assert process.stdout
        for number, line in enumerate(process.stdout):
            if number == after:
                os.kill(process.pid, signal.SIGKILL)
            what, id = line.split()
            (pushed if what == "pushed" else settled).add(id)
    backend = SqliteBackend(path)
    there = {entry.id for entry in backend.get("q", sorted(pushed | settled)) if entry}
    assert not settled & there
    assert len(pushed - there - settled) <= 1, "more is gone than the one job whose settlement it may not have told"
    assert claim(backend, 1000), "what it had begun stands in nobody's way"
    backend.close()
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()


def test_a_process_is_woken_by_another(backend: SqliteBackend, path: Path) -> None:
    with other(echo, path, "echo") as process:
        take_after = [f"{n}" for n in range(ROUNDS)]
        backend.push("ping", [Push(take_after[0], b"")])
        assert take_next(backend, "pong") == "0"  # it is up
        began = time.monotonic()
        for id in take_after[1:]:
            backend.push("ping", [Push(id, b"")])
            assert take_next(backend, "pong") == id
        assert time.monotonic() - began < PROMPT
        assert process.wait(PATIENCE) == 0


# -- forks. Newer Pythons warn of forks beside threads, which is what is tested here.

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def forked(work: Callable[[], None]) -> int:
    """Do some work in a forked child; its process id."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        work()
        status = 0
    finally:
        os._exit(status)


def test_a_forked_child_and_its_parent_do_not_disturb_each_other(backend: SqliteBackend, path: Path) -> None:
    """The child commits after its parent has closed: SQLite would drop this if it had been open during the fork."""
    backend.push("q", [Push("parent's", b"")])
    assert backend.wait(["q"], 0.1) == {"q"}
    told, tell = os.pipe()

    def work() -> None:
        backend.push("q", [Push("child's", b"")])
        backend.push("said", [Push("so", b"")])
        os.read(told, 1)
        backend.push("q", [Push("child's, later", b"")])
        assert backend.counts("q").ready == 3

    child = forked(work)
    assert take_next(backend, "said") == "so"
    backend.close()
    os.write(tell, b"!")
    assert os.waitpid(child, 0)[1] == 0
    os.close(told)
    os.close(tell)
    late = SqliteBackend(path)
    assert [job.id for job in claim(late, 9)] == ["parent's", "child's", "child's, later"]
    late.close()


def test_forking_while_threads_are_at_work(backend: SqliteBackend) -> None:
    stop = threading.Event()
    pushed: list[str] = []

    def push(name: str) -> None:
        for n in count():
            if stop.is_set():
                return
            backend.push("q", [Push(f"{name}{n}", b"")])
            pushed.append(f"{name}{n}")

    threads = [threading.Thread(target=push, args=(name,)) for name in "ab"]
    threads.append(threading.Thread(target=lambda: [backend.wait(["none"], 1.0) for _ in iter(stop.is_set, True)]))
    for thread in threads:
        thread.start()
    children = [forked(lambda: push_some(backend, f"child {os.getpid()} ")) for _ in range(3)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    stop.set()
    for thread in threads:
        thread.join(PATIENCE)
    wanted = {*pushed, *(f"child {child} {n}" for child in children for n in range(50))}
    assert {job.id for job in claim(backend, 100_000)} == wanted


if __name__ == "__main__":
    its = SqliteBackend(sys.argv[2])
    globals()[sys.argv[1]](its, sys.argv[3])
    its.close()
