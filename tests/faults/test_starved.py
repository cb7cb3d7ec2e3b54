"""Worker processes that stand still are told about, by name, before their leases end."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from faults.command import Command

from jobcore import Queue

APP = '''
import ctypes
from pathlib import Path
from jobcore import Queue

queue = Queue("q", "sqlite:///jobs.db", keep_succeeded=10)

@queue.job
def grab(seconds: float) -> None:
    """Sleeps in C without letting go of the interpreter's lock."""
    ctypes.PyDLL(None).usleep(int(seconds * 1_000_000))

@queue.job
def hold() -> None:
    open("gate").close()
'''


@contextmanager
def command(folder: Path, *arguments: str) -> Iterator[Command]:
    (folder / "app.py").write_text(APP)
    command = Command(folder, "worker", "app:queue", *arguments)
    try:
        yield command
        command.send(signal.SIGTERM)
        assert command.ended() == 0
    finally:
        command.close()


def push(folder: Path, name: str, **args: object) -> None:
    queue = Queue("q", f"sqlite:///{folder}/jobs.db")
    queue.enqueue_named(name, args)
    queue.close()


def test_a_parent_tells_of_a_child_whose_job_holds_the_interpreters_lock(tmp_path: Path) -> None:
    push(tmp_path, "grab", seconds=2.5)
    with command(tmp_path, "--lease", "4s", "--processes", "1") as parent:
        said = parent.until("no sign of life")
        assert "they end after 4 s" in said
        parent.until("goes on after")
    assert "in grab" in "".join(parent.said)  # where the watchdog saw it stand


def test_a_worker_without_a_parent_is_watched_from_within(tmp_path: Path) -> None:
    push(tmp_path, "grab", seconds=2.5)
    with command(tmp_path, "--lease", "4s") as alone:
        alone.until("Timeout (")
        alone.until("in grab")


def test_a_parent_tells_of_a_child_that_is_stopped_and_what_it_ran(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gate")
    push(tmp_path, "hold")
    with command(tmp_path, "--lease", "4s", "--processes", "1") as parent:
        child = int(parent.until("started process").partition("process ")[2].split(",")[0])
        with (tmp_path / "gate").open("w"):  # the job has come to it
            os.kill(child, signal.SIGSTOP)
            parent.until("no sign of life")
            os.kill(child, signal.SIGCONT)
            parent.until("goes on after")
