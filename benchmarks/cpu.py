"""What a worker takes of the processor for a job: no-op jobs that are queued already, 16 hands, and nothing else.

    python benchmarks/cpu.py [--store memory] … [--jobs 20000] [--rounds 7] [--against FOLDER] …

Each round is a process of its own. What is told: microseconds of the processor for a job, by `process_time`, which
other processes disturb less than a clock; how many of them the mover's thread takes, which claims while another one
settles; jobs a second; and how often, for a thousand jobs, a thread waited for others or the store. With `--against`,
other checkouts of jobcore are measured in turns with this one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time, thread_time
from typing import NamedTuple

from drain import Drain
from measure import STORES, Bench
from rich.console import Console
from rich.progress import track
from rich.table import Table

HERE = Path(__file__).resolve()


class Cost(NamedTuple):
    """What a drain took.

    Attributes:
        cpu: microseconds of the processor for a job.
        mover: those of them that were spent by the thread that calls the worker: it claims, and has another one settle.
        speed: jobs a second.
        waits: how often a thread waited, for a thousand jobs.
    """

    cpu: float
    mover: float
    speed: float
    waits: float


def main() -> None:
    """Measure in child processes, and tell; or be one of them."""
    options = parsed()
    if options.child:
        kind, url = options.child
        print(json.dumps(drained(url, kind, options.jobs)))
        return
    sides = [HERE.parents[1], *options.against]
    bench = Bench(options.store or STORES)
    table = Table("store", "jobs", "code", "µs of the processor", "least to most", "mover's", "jobs/s", "waits")
    try:
        with TemporaryDirectory(prefix="jobcore-cpu-") as folder:
            trees = [tree(side, Path(folder) / str(number)) for number, side in enumerate(sides)]
            ways = [(store, kind) for store in bench.stores for kind in ("sync", "async")]
            for store, kind in ways:
                rounds = track(range(options.rounds), f"{store}, {kind}", transient=True)
                found = [[asked(each, kind, bench.url(store), options.jobs) for each in trees] for _ in rounds]
                for side, costs in zip(sides, zip(*found, strict=True), strict=True):
                    table.add_row(store, kind, side.name, *told(costs))
    finally:
        bench.close()
    Console(width=max(110, Console().width)).print(table)  # a table that wraps is no table


def parsed() -> argparse.Namespace:
    """The command's arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", action="append", choices=STORES, help="where; may be repeated; else everywhere")
    parser.add_argument("--jobs", type=int, default=20_000, help="in each drain (20,000)")
    parser.add_argument("--rounds", type=int, default=7, help="how often each is measured (7)")
    parser.add_argument("--against", type=Path, action="append", default=[], help="the folder of another checkout")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


def tree(checkout: Path, into: Path) -> Path:
    """A folder from which a checkout's code is imported, as one package."""
    (into / "jobcore").mkdir(parents=True)
    for source in (*(checkout / "src" / "jobcore").iterdir(), checkout / "src" / "backends"):
        (into / "jobcore" / source.name).symlink_to(source.resolve())
    return into


def asked(code: Path, kind: str, url: str, jobs: int) -> Cost:
    """A drain in a process of its own, by the code of a checkout."""
    command = [sys.executable, str(HERE), "--jobs", str(jobs), "--child", kind, url]
    ran = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(code)}, stdout=subprocess.PIPE, check=True)  # noqa: S603 -- this script
    return Cost(*json.loads(ran.stdout))


def drained(url: str, kind: str, jobs: int) -> Cost:
    """Fill a queue, drain it with a worker, and say what that took; a small drain before it makes what is made once."""
    Drain(url, 500).sync()
    drain = Drain(url, jobs)
    drain.fill(loopy=kind == "async")
    before = clocks()
    drain.work()
    cpu, mover, passed, waits = (after - earlier for earlier, after in zip(before, clocks(), strict=True))
    return Cost(1e6 * cpu / jobs, 1e6 * mover / jobs, jobs / passed, 1e3 * waits / jobs)


def clocks() -> tuple[float, float, float, float]:
    """Seconds of this process and of this thread on a processor, seconds that have passed, and waits."""
    return process_time(), thread_time(), perf_counter(), getrusage(RUSAGE_SELF).ru_nvcsw


def told(costs: Sequence[Cost]) -> list[str]:
    """Medians, and the spread of what counts."""
    cpu, mover, speed, waits = zip(*costs, strict=True)
    spread = f"{min(cpu):.1f} to {max(cpu):.1f}"
    return [f"{median(cpu):.1f}", spread, f"{median(mover):.1f}", f"{median(speed):,.0f}", f"{median(waits):.0f}"]


if __name__ == "__main__":
    main()
