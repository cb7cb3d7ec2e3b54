"""Parse Python's own standard library, have a worker die half-way, and lose no job.

Every source file of the interpreter that runs this is a job: parse it, and count its definitions. Some of
them are there to test parsers and don't parse: these jobs fail, as they should. One of two workers dies
while it holds jobs; the other one's monitor brings these back when their lease has ended.

    make demo                           in a SQLite file; the worker that dies is a process, killed with SIGKILL
    make demo URL=redis://localhost     likewise, on a server
    make demo URL=memory://demo         in this process's memory; the worker that dies is cut off from it
"""

from __future__ import annotations

import argparse
import ast
import logging
import os
import secrets
import subprocess
import sys
import sysconfig
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from jobcore import JobContext, Queue, Worker
from jobcore.backend import Answer, Entry, Hold, Keep, Outcome, State, Unavailable
from jobcore.backends.memory import MemoryBackend, Store
from jobcore.events import Event, Kind

LEASE: Final = 3.0
HANDS: Final = 4
BATCH: Final = 500
PARTS: Final = ("body", "orelse", "finalbody", "handlers", "cases")
"""Where statements, and what else has them, are kept in a syntax tree."""

PLENTY: Final = 1_000_000
PATIENCE: Final = 600.0
"""Seconds after which what has not ended counts as lost."""

# A worker process that this one starts finds the same queue, and the same file of runs, by these.
NAME: Final = os.environ.setdefault("DEMO_QUEUE", f"demo-{secrets.token_hex(4)}")
RUNS: Final = "DEMO_RUNS"

quiet = logging.getLogger("demo")
quiet.addHandler(logging.NullHandler())
quiet.propagate = False  # that some files don't parse is in the table

queue = Queue(NAME, keep_failed=PLENTY, keep_succeeded=PLENTY, logger=quiet)


@queue.job(context=True)
def count_definitions(context: JobContext[None], path: str) -> int:
    """How many functions and classes a source file defines."""
    with Path(os.environ[RUNS]).open("a") as runs:  # proof of each run, whatever becomes of its worker
        runs.write(f"{os.getpid()} {context.id}\n")
    return definitions(ast.parse(Path(path).read_bytes()))


def definitions(block: ast.AST) -> int:
    """How many functions and classes a block of code defines; only statements are looked at, as the rest can't."""
    inner = (each for part in PARTS for each in getattr(block, part, ()))
    return isinstance(block, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) + sum(map(definitions, inner))


def sources() -> list[str]:
    """The source files of the standard library."""
    library = Path(sysconfig.get_path("stdlib"))
    installed = {"site-packages", "dist-packages"}
    return [str(path) for path in sorted(library.rglob("*.py")) if not installed.intersection(path.parts)]


# -- the worker that dies


class CutOff(MemoryBackend):
    """A client of a store in memory that no longer gets through to it, once it has settled so many jobs.

    To the store it is then what a killed process is: it holds jobs, and is not heard of again.
    """

    def __init__(self, store: Store, after: int) -> None:
        super().__init__(store=store)
        self.left = after

    def settle(self, queue: str, settlements: Sequence[tuple[Hold, Outcome]], keep: Keep) -> list[Answer]:
        self._check_line()
        self.left -= len(settlements)
        self._check_line()
        return super().settle(queue, settlements, keep)

    def extend(self, queue: str, holds: Sequence[Hold], lease: int) -> list[Answer]:
        self._check_line()
        return super().extend(queue, holds, lease)

    def _check_line(self) -> None:
        if self.left <= 0:
            raise Unavailable("cut off")


class Doomed(NamedTuple):
    """A worker that is going to die: `is_dead` is asked again and again, and sees to it that it does."""

    is_dead: Callable[[], bool]
    how: str


@contextmanager
def doomed_in_memory(after: int) -> Iterator[Doomed]:
    """A worker in this process that is cut off when it has settled `after` jobs."""
    assert isinstance(queue.backend, MemoryBackend)
    line = CutOff(queue.backend.store, after)
    with ExitStack() as stack:
        with queue.using(line):
            stack.enter_context(Worker(queue, concurrency=HANDS, lease=LEASE, grace=0, monitor=False))
        yield Doomed(lambda: line.left <= 0, "cut off from the store")


@contextmanager
def doomed_process(after: int) -> Iterator[Doomed]:
    """A worker process that is killed when it has begun `after` jobs."""
    command = [sys.executable, "-m", "jobcore", "worker", "demo:queue", "--no-monitor"]
    options = [f"--lease={LEASE}", f"--concurrency={HANDS}", "--log-level=error"]
    process = subprocess.Popen([*command, *options], cwd=Path(__file__).parent)  # noqa: S603 -- our own interpreter

    def is_dead() -> bool:
        if process.poll() is not None:
            sys.exit(f"the worker process ended by itself, with {process.returncode}")
        if sum(pid == process.pid for pid, _ in runs()) < after:
            return False
        process.kill()
        return True

    try:
        yield Doomed(is_dead, "killed with SIGKILL")
    finally:
        process.kill()
        process.wait()


def runs() -> list[tuple[int, str]]:
    """Each run that has begun: the process it was in, and the job's id."""
    lines = (line.split() for line in Path(os.environ[RUNS]).read_text().splitlines())
    return [(int(pid), id) for pid, id in lines]


# -- the run


class Figures(NamedTuple):
    """What came of it. All but `recovered` and `seconds` are read from the store and from the record of runs."""

    pushed: int
    succeeded: int
    failed: int
    recovered: int
    run_twice: int
    lost: int
    definitions: int
    seconds: float


def run(screen: Console, doomed: Callable[[int], AbstractContextManager[Doomed]]) -> Figures:
    """Push a job for each file, and have two workers run them, one of which dies."""
    told: Counter[Kind] = Counter()

    def listen(events: Sequence[Event]) -> None:
        told.update(event.kind for event in events)

    jobs = [count_definitions.job(path) for path in sources()]
    ids = [
        pushed.id for start in range(0, len(jobs), BATCH) for pushed in queue.enqueue_many(jobs[start : start + BATCH])
    ]
    began = time.monotonic()
    with doomed(len(ids) // 8) as victim, Worker(queue, concurrency=HANDS, lease=LEASE, on_event=listen):
        watch(screen, victim, len(ids))
        seconds = time.monotonic() - began
    return count(ids, told[Kind.RECOVERED], seconds)


def watch(screen: Console, victim: Doomed, total: int) -> None:
    """Show how far the jobs are, until all have ended; see that the victim dies on the way."""
    dead, ended, shown = False, 0, 0
    give_up = time.monotonic() + PATIENCE
    columns = TextColumn("parsing the standard library"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=screen, disable=not screen.is_terminal) as progress:
        bar = progress.add_task("", total=total)
        while ended < total and time.monotonic() < give_up:
            time.sleep(0.1)
            counts = queue.counts()
            ended = counts.succeeded + counts.failed
            progress.update(bar, completed=ended)
            if not screen.is_terminal and ended * 10 // total > shown:
                shown = ended * 10 // total
                print(f"{ended:,} of {total:,} jobs have ended")
            if not dead and victim.is_dead():
                dead = True
                screen.print(f"after {ended:,} jobs, one of the two workers was {victim.how}", soft_wrap=True)
    if not dead:
        sys.exit("the worker that was to die had too little to do for that")


def count(ids: Sequence[str], recovered: int, seconds: float) -> Figures:
    """Ask the store for each job that was pushed, and the record for each run."""
    entries: list[Entry | None] = []
    for start in range(0, len(ids), BATCH):
        entries += queue.backend.get(queue.name, ids[start : start + BATCH])
    ended = Counter(entry.state for entry in entries if entry is not None)
    succeeded, failed = ended[State.SUCCEEDED], ended[State.FAILED]
    again = sum(times > 1 for times in Counter(id for _, id in runs()).values())
    definitions = sum(int(entry.value) for entry in entries if entry is not None and entry.value is not None)
    lost = len(ids) - succeeded - failed
    return Figures(len(ids), succeeded, failed, recovered, again, lost, definitions, seconds)


def show(screen: Console, figures: Figures) -> None:
    """Print the figures."""
    table = Table(show_header=False, box=None)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(style="dim")
    rows = [
        ("pushed", figures.pushed, "source files"),
        ("succeeded", figures.succeeded, f"with {figures.definitions:,} definitions"),
        ("failed", figures.failed, "they don't parse"),
        ("recovered", figures.recovered, "held by the worker that died"),
        ("run twice", figures.run_twice, "at least once means: now and then twice"),
        ("lost", figures.lost, ""),
        ("jobs/s", round(figures.pushed / figures.seconds), f"in {figures.seconds:.1f} s"),
    ]
    for name, figure, remark in rows:
        table.add_row(name, f"{figure:,}", remark)
    screen.print(table)


def main() -> int:
    """Run the demo; 0 if no job was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="where the jobs are: redis://…, postgresql://… (default: a SQLite file)")
    chosen: str | None = parser.parse_args().url
    warnings.simplefilter("ignore")  # what a file of the library has to be warned of is not our business
    screen = Console(highlight=False)
    with TemporaryDirectory(prefix="jobcore-demo-") as scratch:
        os.environ["JOBCORE_URL"] = url = chosen or f"sqlite:///{scratch}/jobs.db"
        os.environ[RUNS] = f"{scratch}/runs"
        Path(os.environ[RUNS]).touch()
        try:
            figures = run(screen, doomed_in_memory if url.startswith("memory:") else doomed_process)
        finally:
            queue.destroy()
            queue.close()
    show(screen, figures)
    return 1 if figures.lost else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
