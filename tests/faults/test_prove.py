"""`jobcore prove`: stores that keep their word are told so, and those that don't are caught, and told with what."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple

import pytest

from jobcore.backend import Counts, Push
from jobcore.cli.exits import ExitCode
from jobcore.connect import open_backend
from jobcore.errors import ConfigurationError, JobcoreError
from jobcore.prove.nemesis import Kind
from jobcore.prove.report import Report
from jobcore.prove.run import Run
from jobcore.prove.settings import Settings

from servers import redis

BOUND = 120
QUEUE = "prove"


def prove(
    url: str, folder: Path, faults: dict[Kind, int], restart: Callable[[], Any] | None = None, **given: Any
) -> Report:
    """A small run, with half a second of lease."""
    journals = folder / "journals"
    journals.mkdir()
    options = {"jobs": 300, "workers": 2, "lease": 0.5, "seed": 1, **given}
    settings = Settings(url, QUEUE, faults=dict.fromkeys(Kind, 0) | faults, **options)
    return Run(settings, journals, restart=restart).execute()


def counts(url: str) -> Counts:
    backend = open_backend(url)
    try:
        return backend.counts(QUEUE)
    finally:
        backend.close()


# -- stores that keep their word


def test_sqlite_keeps_its_word_while_workers_are_killed_and_stopped(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db"
    report = prove(url, tmp_path, {Kind.KILL: 3, Kind.PAUSE: 2})
    assert report.sound, report.document()
    assert report.verdict.acknowledged == report.settled == 300
    assert report.takeovers > 0
    assert len(report.faults) == 5
    assert counts(url) == Counts()  # the queue is gone


def test_redis_keeps_its_word_whatever_goes_wrong(tmp_path: Path) -> None:
    faults = {Kind.KILL: 2, Kind.PAUSE: 1, Kind.CUT: 2, Kind.STALL: 1, Kind.SERVER: 1}
    with redis.server(config=["--appendonly", "yes", "--appendfsync", "always"]) as server:
        report = prove(server.url, tmp_path, faults, server.restart)
    assert report.sound, report.document()
    assert report.verdict.acknowledged >= 300
    assert report.left_out == []


def test_postgres_keeps_its_word_while_workers_and_connections_are_killed(tmp_path: Path, postgres_url: str) -> None:
    faults = {Kind.KILL: 2, Kind.PAUSE: 1, Kind.CUT: 2, Kind.STALL: 1, Kind.SERVER: 1}
    report = prove(postgres_url, tmp_path, faults)
    assert report.sound, report.document()
    assert report.left_out == ["server: there is no --restart-command"]
    assert len(report.faults) == 6


@pytest.mark.slow
def test_faults_that_overlap_wait_for_one_worker(tmp_path: Path) -> None:
    report = prove(f"sqlite:///{tmp_path}/jobs.db", tmp_path, {Kind.KILL: 2, Kind.PAUSE: 1}, workers=1, jobs=60)
    assert report.sound, report.document()
    assert sorted(fault.kind for fault in report.faults) == ["kill", "kill", "pause"]


# -- cheats

METADATA = "Metadata-Version: 2.1\nName: cheats\nVersion: 1.0\n"
POINTS = "[jobcore.backends]\n" + "\n".join(f"{name} = cheats:{name}" for name in ("forgetful", "gullible", "hasty"))
DRIVERS = '''
from jobcore.backend import Answer, Return, Succeed
from jobcore.backends.sqlite import SqliteBackend

class Forgetful(SqliteBackend):
    """What is given back leaves the store."""
    def settle(self, queue, settlements, keep):
        return super().settle(queue, [(hold, Succeed() if outcome == Return() else outcome)
                                      for hold, outcome in settlements], keep)

class Gullible(SqliteBackend):
    """Whoever settles is told that it is done."""
    def settle(self, queue, settlements, keep):
        return [Answer.DONE for _ in super().settle(queue, settlements, keep)]

class Hasty(SqliteBackend):
    """Leases end before half of their time is over."""
    def claim(self, queue, limit, lease, *others):
        return super().claim(queue, limit, lease * 2 // 5, *others)
    def extend(self, queue, holds, lease):
        return super().extend(queue, holds, lease * 2 // 5)

def forgetful(url): return Forgetful(url.partition("://")[2])
def gullible(url): return Gullible(url.partition("://")[2])
def hasty(url): return Hasty(url.partition("://")[2])
'''


@pytest.fixture
def cheats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for a store; drivers are installed there which do not keep the laws."""
    installed = tmp_path / "cheats-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text(METADATA)
    (installed / "entry_points.txt").write_text(POINTS)
    (tmp_path / "cheats.py").write_text(DRIVERS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "cheats", raising=False)
    return tmp_path


def test_a_driver_that_forgets_what_is_given_back_has_lost_it(cheats: Path) -> None:
    report = prove(f"forgetful://{cheats}/jobs.db", cheats, {Kind.KILL: 3})
    assert not report.sound
    assert report.verdict.lost
    assert report.verdict.stale == report.verdict.unexpected == report.stuck == []


def test_a_driver_that_believes_a_worker_whose_lease_is_over_is_caught(cheats: Path) -> None:
    """A settlement that was sent as the lease was taken over is told by the second run that it did not prevent."""
    report = prove(f"gullible://{cheats}/jobs.db", cheats, {Kind.PAUSE: 4}, lease=1.0)
    assert not report.sound
    assert report.verdict.stale or report.verdict.unexplained
    assert report.verdict.refused == 0


@pytest.mark.slow
def test_a_driver_that_ends_leases_early_is_caught(cheats: Path) -> None:
    report = prove(f"hasty://{cheats}/jobs.db", cheats, {Kind.KILL: 3})
    assert not report.sound
    assert report.verdict.unexplained
    assert report.verdict.lost == report.verdict.stale == []


class Crashing(NamedTuple):
    """A server that keeps nothing, and the command that kills it and starts it again."""

    url: str
    command: str


RESTART = """
pid=$(cat server.pid 2>/dev/null) && kill -9 $pid && while kill -0 $pid 2>/dev/null; do :; done
rm -f server.pid
{binary} --port {port} --bind 127.0.0.1 --save "" --dir . --pidfile $PWD/server.pid --daemonize yes > server.log
until (: < /dev/tcp/127.0.0.1/{port}) 2>/dev/null; do :; done
"""


@pytest.fixture
def crashing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Crashing]:
    binary, port = list(redis.binaries().values())[-1], redis._free_port()
    script = tmp_path / "restart.sh"
    script.write_text(RESTART.format(binary=binary, port=port))
    monkeypatch.chdir(tmp_path)
    try:
        subprocess.run(["/bin/bash", script], check=True, timeout=BOUND)
        yield Crashing(f"redis://127.0.0.1:{port}", f"/bin/bash {script}")
    finally:
        with suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int((tmp_path / "server.pid").read_text()), signal.SIGKILL)


def test_a_redis_that_keeps_nothing_is_told_what_it_lost(crashing: Crashing, tmp_path: Path) -> None:
    """One hand works, so that most of what is acknowledged waits when the server crashes."""
    numbers = ["--jobs=200", "--workers=1", "--concurrency=1", "--server-kills=2"]
    others = ["--kills=0", "--pauses=0", "--cuts=0", "--stalls=0", "--lease=0.4s"]
    picture = tmp_path / "run.svg"
    command = ["prove", crashing.url, *numbers, *others, "--json", f"--picture={picture}"]
    ended = subprocess.run(
        [sys.executable, "-m", "jobcore", *command, "--restart-command", crashing.command],
        capture_output=True,
        check=False,
        text=True,
        timeout=BOUND,
    )
    assert ended.returncode == ExitCode.FAILED, ended.stderr
    report = json.loads(ended.stdout)
    assert report["faults"]["server"] == 2
    assert len(report["lost"]) > 50
    assert len(set(report["lost"])) == len(report["lost"])
    assert (report["unexpected"], report["stuck"], report["sound"]) == ([], [], False)
    assert "what each process saw" in ended.stderr
    assert picture.read_text().startswith("<svg")


# -- what it can't do


def test_a_restart_that_fails_ends_the_run_with_its_reason(tmp_path: Path) -> None:
    def fail() -> None:
        raise JobcoreError("the server is gone for good")

    with pytest.raises(JobcoreError, match="gone for good"):
        prove(f"sqlite:///{tmp_path}/jobs.db", tmp_path, {Kind.SERVER: 2}, fail)


def test_a_queue_that_holds_jobs_is_not_touched(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db"
    backend = open_backend(url)
    backend.push(QUEUE, [Push("mine", b"{}")])
    backend.close()
    with pytest.raises(ConfigurationError, match="holds jobs"):
        prove(url, tmp_path, {})
    assert counts(url).ready == 1


def children(process: subprocess.Popen[str]) -> list[int]:
    """The processes that a process has started."""
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(pid) for pid in listed.read_text().split()] if process.poll() is None else []


@pytest.mark.slow
def test_what_workers_are_forked_off_does_not_mind_a_terminals_ctrl_c(tmp_path: Path) -> None:
    """A terminal tells all processes; what is to be done about it is the parent's business."""
    faults = [f"--{kind}=0" for kind in ("kills", "pauses", "cuts", "stalls", "server-kills")]
    command = ["prove", f"sqlite:///{tmp_path}/jobs.db", "--jobs=5", "--workers=1", "--lease=0.4s", *faults]
    with subprocess.Popen([sys.executable, "-m", "jobcore", *command], stderr=subprocess.PIPE, text=True) as process:
        tick = Event()
        while process.poll() is None:
            for pid in children(process):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGINT)
            tick.wait(0.01)
        assert (process.wait(), process.stderr and process.stderr.read()) == (0, "")


def test_memory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="lives in one process"):
        prove("memory://", tmp_path, {})
