"""How much of a store's own speed a worker keeps.

    python benchmarks/drain.py [memory] [sqlite] [redis] [postgres] [--jobs 20000] [--rounds 5]

For each store, in one run and in turns: a bare loop over the driver that claims 100 jobs and settles 100
(no decoding, no leases to keep, nothing run), and one worker process with 16 hands on no-op jobs, sync and
async. What counts is the ratio of medians; the speeds depend on the machine and what else it does.
"""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from jobcore import Queue, Worker
from jobcore.backend import Backend, Keep, Succeed

from servers import postgres, redis

STORES = ("memory", "sqlite", "redis", "postgres")


def bare(backend: Backend) -> None:
    """Claim 100, settle 100, until there is nothing left."""
    while claims := backend.claim("q", 100, 60_000_000, "bare", os.urandom(16), 1 << 30).claims:
        backend.settle("q", [(claim.hold, Succeed()) for claim in claims], Keep())


def measure(url: str, jobs: int, rounds: int) -> dict[str, float]:
    """Jobs a second, medians over the rounds."""
    queue = Queue("q", url)

    @queue.job
    def noop(number: int) -> None: ...

    @queue.job
    async def anoop(number: int) -> None: ...

    def drained(run: Any, job: Any) -> float:
        for first in range(0, jobs, 1000):
            queue.enqueue_many([job.job(number) for number in range(first, min(jobs, first + 1000))])
        begun = perf_counter()
        run()
        return jobs / (perf_counter() - begun)

    def work() -> None:
        Worker(queue, monitor=False).run(until_empty=True)

    speeds: dict[str, list[float]] = {"bare": [], "sync": [], "async": []}
    for _ in track(range(rounds), url.partition(":")[0]):
        speeds["bare"].append(drained(lambda: bare(queue.backend), noop))
        speeds["sync"].append(drained(work, noop))
        speeds["async"].append(drained(work, anoop))
    queue.close()
    return {name: median(each) for name, each in speeds.items()}


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stores", nargs="*", choices=[*STORES, []], default=STORES)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    table = Table("store", "bare loop, jobs/s", "worker, sync", "ratio", "worker, async", "async / sync")
    with ExitStack() as stack:
        scratch = stack.enter_context(TemporaryDirectory(prefix="jobcore-bench-"))
        for store in options.stores:
            match store:
                case "redis":
                    url = stack.enter_context(redis.server()).url
                case "postgres":
                    url = stack.enter_context(postgres.server()).url
                case "sqlite":
                    url = f"sqlite:///{scratch}/jobs.db"
                case _:
                    url = "memory://"
            found = measure(url, options.jobs, options.rounds)
            table.add_row(
                store,
                f"{found['bare']:,.0f}",
                f"{found['sync']:,.0f}",
                f"{found['sync'] / found['bare']:.2f}",
                f"{found['async']:,.0f}",
                f"{found['async'] / found['sync']:.2f}",
            )
    Console().print(table)


if __name__ == "__main__":
    main()
