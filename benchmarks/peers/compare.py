"""Our worker beside other job queues, on the same servers and in turns.

    python benchmarks/peers/compare.py [taskiq] [pgqueuer] … [--rounds 5] [--scale 1] [--json FILE]

Each rival is a program of its own in this folder, `with_NAME.py`, whose head says what it needs and with which settings
it runs; it has an environment of its own in build/peers, made at first use. A round runs ours and then each rival on
that store: the program enqueues no-op jobs in an empty store, and then works on them in one process until it is killed.
A job notes when it starts in memory that the runner sees. A speed is that from the first start to the last; what counts
is the ratio of ours to theirs in a round. A rival that can't be set up or does not run is told with the reason.
"""

from __future__ import annotations

import argparse
import json
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
from statistics import median
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import Any, Final

import psycopg
import redis
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

HERE: Final = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from measure import Bench, Row, at_least  # noqa: E402 - found by the path above
from run import machine  # noqa: E402 - found by the path above

SCRATCH: Final = HERE.parents[1] / "build" / "peers"
METADATA: Final = re.compile(r"^# /// script\n(?P<lines>(?:#.*\n)+?)# ///$", re.MULTILINE)
OURS: Final = {"redis": 20_000, "postgres": 10_000, "sqlite": 10_000}
GOALS: Final = {"redis": 12.0, "postgres": 2.0, "sqlite": 1.0}
PATIENCE: Final = 120.0


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
        speeds: jobs a second, a figure each round.
        trouble: why there is none.
    """

    name: str
    store: str
    jobs: int
    settings: str = "16 hands, as it comes"
    again: bool = True
    needs: Sequence[str] = ()
    speeds: list[float] = field(default_factory=list)
    trouble: str = ""

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


def measured(side: Side, url: str, jobs: int) -> float:
    """Jobs a second of one run; raises `Unable`."""
    with NamedTemporaryFile() as file, emptied(url) as scratch:
        file.truncate(8 * jobs)
        starts = memoryview(mmap.mmap(file.fileno(), 0)).cast("d")
        with running(side, {"PEER_URL": scratch, "PEER_JOBS": str(jobs), "PEER_STAMPS": file.name}) as process:
            wait(starts, process, SCRATCH / f"{side.name}.log")
        return (jobs - 1) / (max(starts) - min(starts))


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


def compare(sides: Sequence[Side], rounds: int, scale: float, screen: Console) -> None:
    """Run all in turns, and keep their speeds; a side in trouble is left out from then on."""
    bench = Bench(list(OURS), rounds, scale)
    with Progress(console=screen) as bar:
        task = bar.add_task("", total=rounds * len(sides))
        try:
            for _ in range(rounds):
                for side in sides:
                    bar.update(task, description=side.name, advance=1)
                    attempt(side, bench)
        finally:
            bench.close()


def attempt(side: Side, bench: Bench) -> None:
    """One round of one side."""
    if side.trouble:
        return
    try:
        if side.needs:
            install(side)
        side.speeds.append(measured(side, bench.url(side.store), bench.jobs(side.jobs)))
    except Unable as reason:
        side.trouble = str(reason)


def ours_first(rivals: Sequence[Side]) -> list[Side]:
    """The sides of a round: on each store ours, then its rivals."""
    stores = dict.fromkeys(side.store for side in rivals)
    return [
        side
        for store in stores
        for side in [Side("jobcore", store, OURS[store]), *(each for each in rivals if each.store == store)]
    ]


def rows(sides: Sequence[Side]) -> Iterator[tuple[Side, Row]]:
    """Each rival that ran, and ours against it."""
    ours = {side.store: side.speeds for side in sides if not side.needs}
    for side in sides:
        if side.needs and side.speeds:
            yield side, Row(side.name, ours[side.store], side.speeds, at_least(GOALS[side.store]), store=side.store)


def table(sides: Sequence[Side]) -> Table:
    """What was found."""
    found = Table("store", "rival", "run again", "settings", "theirs, jobs/s", "ours", "ours / theirs", "quartiles")
    for side, row in rows(sides):
        low, high = row.spread
        found.add_row(
            side.store,
            ", ".join(side.needs),
            "yes" if side.again else "no",
            side.settings,
            f"{median(side.speeds):,.0f}",
            f"{median(row.ours):,.0f}",
            f"{row.value:.1f}",
            f"{low:.1f} to {high:.1f}",
        )
    return found


def told(side: Side) -> dict[str, Any]:
    """A side for programs."""
    return {"name": side.name, "store": side.store, "needs": [*side.needs], "settings": side.settings,
            "again": side.again, "jobs": side.jobs, "speeds": side.speeds, "trouble": side.trouble}  # fmt: skip


def parsed() -> argparse.Namespace:
    """The command's arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rivals", nargs="*", metavar="RIVAL", help=f"whom: {', '.join(known())}; else all")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (5)")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies all numbers of jobs (1)")
    parser.add_argument("--json", metavar="FILE", help="write all figures there, round by round")
    options = parser.parse_args()
    if unknown := set(options.rivals) - set(known()):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(known())}")
    return options


def main() -> None:
    """Measure, and tell."""
    options, screen = parsed(), Console(width=max(170, Console().width))
    SCRATCH.mkdir(parents=True, exist_ok=True)
    sides = ours_first([known()[name] for name in options.rivals or known()])
    compare(sides, options.rounds, options.scale, screen)
    screen.print(table(sides))
    for side in sides:
        if side.trouble:
            screen.print(f"{side.name}: {side.trouble}", markup=False)
    if options.json:
        Path(options.json).write_text(
            json.dumps({"machine": machine(), "sides": [told(side) for side in sides]}, indent=1)
        )


if __name__ == "__main__":
    main()
