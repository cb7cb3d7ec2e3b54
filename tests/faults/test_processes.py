"""Worker processes that are killed, stopped, stuck or orphaned: real processes, on real stores."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import pytest
from faults.command import BOUND, Command

from jobcore import Queue
from jobcore.cli.exits import ExitCode

APP = '''
import os
from jobcore import JobContext, Queue

queue = Queue(os.environ["QUEUE"], keep_succeeded=10)

def note(word, context):
    with open("runs", "a") as runs:
        runs.write(f"{word} {os.getpid()} {context.attempt} {context.lost}\\n")

@queue.job(context=True)
def hold(context: JobContext[None]) -> None:
    """The first run waits for somebody to write to the pipe."""
    note("begun", context)
    if context.lost == 0:
        open("gate").close()
    note("ended", context)

@queue.job(context=True, timeout=0.1)
def stick(context: JobContext[None]) -> None:
    """Waits in C, where no timeout can be raised."""
    note("begun", context)
    if context.lost == 0:
        open("gate").close()
'''


class Program:
    """A program with a queue, in a folder of its own; `runs` is written by its jobs."""

    def __init__(self, folder: Path, queue: Queue[None]) -> None:
        self.folder = folder
        self.queue = queue
        (folder / "app.py").write_text(APP)
        os.mkfifo(folder / "gate")

    @contextmanager
    def running(self, *arguments: str) -> Iterator[Command]:
        command = Command(self.folder, *arguments)
        try:
            yield command
        finally:
            command.close()

    def runs(self, word: str) -> list[list[int]]:
        """Process, attempt and losses of each run that has begun, or ended."""
        path = self.folder / "runs"
        lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
        return [[int(number) for number in line[1:]] for line in lines if line[0] == word]

    def open_gate(self) -> None:
        """Let the job that waits go on."""
        (self.folder / "gate").open("w").close()

    def until(self, word: str, number: int = 1) -> list[list[int]]:
        """Wait until so many runs have begun, or ended."""
        tick, deadline = threading.Event(), monotonic() + BOUND
        while len(self.runs(word)) < number:
            assert monotonic() < deadline, f"no {number} runs have {word}"
            tick.wait(0.01)
        return self.runs(word)


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    """Of a Redis; what a killed process leaves in its store is asked of both."""
    url: str = request.getfixturevalue(getattr(request, "param", "redis_url"))
    return url


on_both = pytest.mark.parametrize("url", ["redis_url", "postgres_url"], indirect=True)


@pytest.fixture
def program(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Program]:
    queue: Queue[None] = Queue(f"processes-{secrets.token_hex(4)}", url)
    monkeypatch.setenv("JOBCORE_URL", url)
    monkeypatch.setenv("QUEUE", queue.name)
    yield Program(tmp_path, queue)
    queue.destroy()
    queue.close()


@on_both
def test_a_job_whose_worker_was_killed_runs_again_on_another_once(program: Program) -> None:
    id = program.queue.enqueue_named("hold", {})
    with program.running("worker", "app:queue", "--lease", "1s", "--no-monitor") as first:
        program.until("begun")
        first.send(signal.SIGKILL)
        assert first.ended() == -signal.SIGKILL
    with program.running("worker", "app:queue", "--lease", "1s") as second:
        program.until("ended")
        second.send(signal.SIGTERM)
        assert second.ended() == 0
    (killed, attempt, lost), (other, again, once) = program.runs("begun")
    assert (killed != other, attempt, lost, again, once) == (True, 1, 0, 1, 1)
    assert len(program.runs("ended")) == 1
    entry = program.queue.find(id)
    assert entry is not None
    assert (entry.state, entry.lost) == ("succeeded", 1)


@on_both
def test_a_killed_child_is_replaced_and_its_jobs_are_brought_back_at_once(program: Program) -> None:
    """The lease has ten minutes to go: it is its parent that tells the store."""
    program.queue.enqueue_named("hold", {})
    with program.running("worker", "app:queue", "--processes=2", "--lease=10m", "--no-monitor") as parent:
        children = [int(parent.until("started process").split("process ")[1].split(",")[0]) for _ in range(2)]
        ((killed, _, _),) = program.until("begun")
        assert killed in children
        os.kill(killed, signal.SIGKILL)
        parent.until(f"process {killed} was killed by SIGKILL, another takes its place")
        replacement = int(parent.until("started process").split("process ")[1].split(",")[0])
        assert replacement not in children
        ((another, _, lost),) = program.until("ended")
        assert (another != killed, lost) == (True, 1)
        parent.send(signal.SIGTERM)
        assert parent.ended() == 0


def test_children_whose_parent_was_killed_finish_and_leave(program: Program) -> None:
    program.queue.enqueue_named("hold", {})
    with program.running("worker", "app:queue", "--processes=2") as parent:
        program.until("begun")
        parent.send(signal.SIGKILL)
        for _ in range(2):
            parent.until("the parent process is gone")
        program.open_gate()
        assert parent.ended() == -signal.SIGKILL  # and nobody writes to its stderr any more
    assert program.queue.counts().succeeded == 1


def test_a_worker_by_itself_says_what_it_does_about_a_signal_and_what_it_leaves(program: Program) -> None:
    program.queue.enqueue_named("hold", {}, id="the-one")
    with program.running("worker", "app:queue", "--grace=10m", "--no-monitor") as worker:
        program.until("begun")
        for said in ["stopping: running jobs have their grace", "leaving at once"]:
            worker.send(signal.SIGTERM)
            worker.until(said)
        worker.until("left behind 1 job, to run again within 120 s, at the lease's end: hold the-one of")
        assert worker.ended() == 0


def test_ctrl_c_lets_running_jobs_finish_and_a_second_one_does_not(program: Program) -> None:
    program.queue.enqueue_named("hold", {}, id="first")
    with program.running("worker", "app:queue", "--processes=1", "--grace=10m", "--lease=10m") as parent:
        program.until("begun")
        parent.interrupt()
        parent.until("stopping: running jobs have their grace")
        program.open_gate()
        assert parent.ended() == 0
    assert program.queue.counts().succeeded == 1
    program.queue.enqueue_named("hold", {}, id="second")
    with program.running("worker", "app:queue", "--processes=1", "--grace=10m", "--lease=10m") as parent:
        program.until("begun", 2)
        parent.interrupt()
        parent.until("stopping: running jobs have their grace")
        parent.interrupt()
        parent.until("left behind 1 job, to run again at once, as the parent sees to it: hold second of")
        assert parent.ended() == 0
    assert program.queue.counts().ready == 1  # what the child left running was brought back by its parent


def test_a_child_whose_hands_are_stuck_is_replaced(program: Program) -> None:
    program.queue.enqueue_named("stick", {})
    with program.running(
        "worker", "app:queue", "--processes=1", "--concurrency=1", "--grace=0.1s", "--lease=10m"
    ) as parent:
        parent.until(f"failed with exit code {ExitCode.STUCK.value}, another takes its place")
        (stuck, _, _), (other, _, lost) = program.until("begun", 2)
        assert (stuck != other, lost) == (True, 1)
        parent.send(signal.SIGTERM)
        assert parent.ended() == 0


def arguments_of(pid: int) -> list[str]:
    """What any user can list of a process."""
    listed = subprocess.run(
        ["/bin/ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, check=True, text=True
    )
    return listed.stdout.split()


def test_children_work_as_their_parent_was_told_to(program: Program, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `--url` says is not among their arguments, which others can list."""
    monkeypatch.delenv("JOBCORE_URL")
    program.queue.enqueue_named("hold", {})
    options = [
        "--until-empty",
        "--lease=90s",
        "--concurrency=3",
        f"--limit={program.queue.name}=2",
        "--log-level=debug",
    ]
    with program.running("worker", "app:queue", "--processes=1", "--url", url, *options) as parent:
        ((pid, _, _),) = program.until("begun")
        command = arguments_of(pid)
        assert {"--until-empty", "--lease=90.000000s", "--concurrency=3", f"--limit={program.queue.name}=2"} <= set(
            command
        )
        assert not any(url in argument for argument in command)
        program.open_gate()
        parent.until("succeeded hold")
        assert parent.ended() == 0
    assert program.queue.counts().succeeded == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_monitor_runs_until_it_is_told_to_stop(program: Program, number: signal.Signals) -> None:
    with program.running("monitor", "app:queue") as monitor:
        monitor.until("monitoring", program.queue.name)
        monitor.send(number)
        assert monitor.ended() == 0
        assert "Traceback" not in "".join(monitor.said)
