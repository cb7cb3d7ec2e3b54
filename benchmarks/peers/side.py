"""One side of a comparison: its program, its environment, and one run of it in a store that is empty."""

from __future__ import annotations

import mmap
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import Final

import psycopg
import redis

HERE: Final = Path(__file__).resolve().parent
SCRATCH: Final = HERE.parents[1] / "build" / "peers"
METADATA: Final = re.compile(r"^# /// script\n(?P<lines>(?:#.*\n)+?)# ///$", re.MULTILINE)
PATIENCE: Final = 120.0
"""How long nothing may start, in seconds, until a side is given up."""


class Unable(Exception):
    """A rival that can't be measured here, and why."""


@dataclass
class Side:
    """A program that enqueues jobs and runs them.

    Attributes:
        name: of the library, or of a way to use it.
        store: where its jobs are.
        jobs: how many.
        settings: how it is used.
        again: whether a job whose worker died is run again without the user's doing.
        needs: what is to be installed for it; empty for ours.
        speeds: jobs a second that it runs, a figure each round.
        enqueued: jobs a second that it stores, many a call; nothing where it can't, or was not asked to.
        trouble: why there is none.
    """

    name: str
    store: str
    jobs: int
    settings: str = "16 hands, as it comes"
    again: bool = True
    needs: Sequence[str] = ()
    speeds: list[float] = field(default_factory=list)
    enqueued: list[float] = field(default_factory=list)
    trouble: str = ""

    @property
    def title(self) -> str:
        """Its library and version."""
        return self.needs[0].replace("==", " ") if self.needs else self.name

    @property
    def program(self) -> Path:
        """What is run."""
        return HERE / f"with_{self.name}.py"

    @property
    def python(self) -> str:
        """What runs it."""
        return str(SCRATCH / self.name / "bin" / "python") if self.needs else sys.executable


def known() -> dict[str, Side]:
    """The rivals that are here, as the heads of their programs have it."""
    return {side.name: side for side in map(described, sorted(HERE.glob("with_*.py"))) if side.needs}


def described(program: Path) -> Side:
    """A program by its head: inline script metadata, as in PEP 723."""
    name = program.stem.removeprefix("with_")
    found = METADATA.search(program.read_text())
    if found is None:
        return Side(name, "", 0)
    told = tomllib.loads("".join(line[2:] + "\n" for line in found["lines"].splitlines()))
    return Side(name, needs=told["dependencies"], **told["tool"]["peer"])


def install(side: Side) -> None:
    """Give a rival its environment; raises `Unable`. What it once had is not looked for again."""
    home = SCRATCH / side.name
    done, wanted = home / "installed.txt", "\n".join(side.needs)
    if done.exists() and done.read_text() == wanted:
        return
    shutil.rmtree(home, ignore_errors=True)
    venv.create(home, with_pip=False)
    pip = [sys.executable, "-m", "pip", "--python", side.python, "--quiet", "--disable-pip-version-check"]
    command = [*pip, "install", *side.needs]
    made = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - of our own making
    if made.returncode:
        raise Unable(f"pip: {last_line(made.stderr)}")
    done.write_text(wanted)


def measure(side: Side, url: str, jobs: int) -> None:
    """Run a side once, and keep what it comes to; raises `Unable`."""
    with NamedTemporaryFile() as file, emptied(url) as scratch:
        file.truncate(8 * (jobs + 1))
        noted = memoryview(mmap.mmap(file.fileno(), 0)).cast("d")
        starts = noted[:jobs]
        with running(side, {"PEER_URL": scratch, "PEER_JOBS": str(jobs), "PEER_STAMPS": file.name}) as process:
            wait(starts, process, SCRATCH / f"{side.name}.log")
        side.speeds.append((jobs - 1) / (max(starts) - min(starts)))
        if noted[jobs]:
            side.enqueued.append(jobs / noted[jobs])


@contextmanager
def running(side: Side, told: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A rival's program, with all processes that it starts."""
    with (SCRATCH / f"{side.name}.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - a program of this folder
            [side.python, str(side.program)],
            env=os.environ | told,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):  # it has ended by itself
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait(starts: memoryview[float], process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until each job has started; raises `Unable` when nothing starts any more."""
    seen, until = 0, time.monotonic() + PATIENCE
    while seen < len(starts):
        before = seen
        while seen < len(starts) and starts[seen]:
            seen += 1
        if seen > before:
            until = time.monotonic() + PATIENCE
        elif process.poll() is not None or time.monotonic() > until:
            raise Unable(f"{seen:,} of {len(starts):,} jobs were run: {last_line(log.read_text(errors='replace'))}")
        time.sleep(0.02)


@contextmanager
def emptied(url: str) -> Iterator[str]:
    """Where a side finds nothing: a Redis without keys, a database or a file of its own."""
    match url.partition(":")[0]:
        case "redis":
            redis.Redis.from_url(url).flushall()
            yield url
        case "postgresql":
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("CREATE DATABASE peer")
                yield url.rpartition("/")[0] + "/peer"
                connection.execute("DROP DATABASE peer WITH (FORCE)")
        case _:
            with TemporaryDirectory(prefix="jobcore-peers-") as folder:
                yield f"sqlite:///{folder}/jobs.db"


def last_line(text: str) -> str:
    """The last words of a program."""
    return (text.strip().splitlines() or ["it said nothing"])[-1]
