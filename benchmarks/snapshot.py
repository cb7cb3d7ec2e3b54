"""What an old snapshot costs a PostgreSQL queue: how fast jobs are claimed and settled while nothing can be vacuumed.

    python benchmarks/snapshot.py [--jobs 500000] [--round 25000] [--claimers 4] [--depth 20000]

Some processes claim 100 and settle 100, in rounds, from a queue that never runs empty. Jobs have three priorities; of a
hundred one is given back and one retried; in every round ten are pushed by a transaction that commits late. After two
rounds a transaction at REPEATABLE READ is opened, and stays open while `--jobs` pass. Each round is followed by one in
another database of the same server, which no snapshot holds back: what counts is the ratio of the two, so that it does
not matter what else the machine does. The last figure is the median of the last five.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import sys
import threading
from contextlib import ExitStack
from multiprocessing.connection import Connection as Pipe
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from statistics import median
from time import perf_counter

import psycopg
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from jobcore import open_backend
from jobcore.backend import Backend, Claim, Joins, Keep, Outcome, Push, Retry, Return, Succeed
from jobcore.pushing import new_id

from servers import postgres

BATCH = 100
LEASE = 60_000_000
LATE = 10


def push(backend: Backend, jobs: int) -> None:
    """Push jobs of three priorities, a thousand a call."""
    for first in range(0, jobs, 1000):
        backend.push("q", [made() for _ in range(min(1000, jobs - first))])


def made() -> Push:
    return Push(new_id(), b'{"job":"noop","args":{}}', priority=random.randrange(-1, 2))


def take(backend: Backend) -> list[Claim]:
    return backend.claim("q", BATCH, LEASE, f"{os.getpid()}", os.urandom(16), 1 << 30).claims


def outcome(at: int) -> Outcome:
    """Of a hundred jobs one goes back, and one is run again."""
    others: dict[int, Outcome] = {3: Return(), 7: Retry()}
    return others.get(at, Succeed())


def claim_and_settle(url: str, left: Synchronized[int], orders: Pipe) -> None:
    """One claimer: at each order, until the round's jobs have passed."""
    backend = open_backend(url)
    backend.counts("q")
    orders.send(None)
    while orders.recv():
        while left.value > 0:
            settlements = [(claim.hold, outcome(at)) for at, claim in enumerate(take(backend))]
            backend.settle("q", settlements, Keep())
            with left.get_lock():
                left.value -= sum(isinstance(each, Succeed) for _, each in settlements)
        orders.send(None)
    backend.close()


class Claimers:
    """Processes that claim and settle together."""

    def __init__(self, url: str, number: int) -> None:
        spawning = multiprocessing.get_context("spawn")
        self._left = spawning.Value("q", 0)
        pipes = [spawning.Pipe() for _ in range(number)]
        self._orders = [ours for ours, _ in pipes]
        self._processes = [
            spawning.Process(target=claim_and_settle, args=(url, self._left, theirs), daemon=True)
            for _, theirs in pipes
        ]
        for process in self._processes:
            process.start()
        self._answers()

    def settle(self, jobs: int) -> float:
        """Have so many jobs settled; the seconds that it took."""
        self._left.value += jobs  # what the last round did beyond its own is taken off
        begun = perf_counter()
        self._tell(True)
        self._answers()
        return perf_counter() - begun

    def stop(self) -> None:
        self._tell(False)
        for process in self._processes:
            process.join()

    def _answers(self) -> None:
        for pipe in self._orders:
            pipe.recv()

    def _tell(self, order: bool) -> None:
        for pipe in self._orders:
            pipe.send(order)


def push_late(backend: Backend, url: str, committed: threading.Event) -> None:
    """Push in a transaction that commits when it is told to, or after a second."""
    assert isinstance(backend, Joins)
    with psycopg.connect(url.partition("?")[0]) as connection:
        backend.join(connection, "q", [made() for _ in range(LATE)])
        committed.wait(1.0)


def run_round(backend: Backend, claimers: Claimers, url: str, jobs: int) -> float:
    """Jobs a second."""
    push(backend, jobs - LATE)
    committed = threading.Event()
    late = threading.Thread(target=push_late, args=(backend, url, committed))
    late.start()
    seconds = claimers.settle(jobs)
    committed.set()
    late.join()
    return jobs / seconds


class Side:
    """A queue in a database of its own, and those who work on it."""

    def __init__(self, url: str, options: argparse.Namespace) -> None:
        self._url, self._jobs = url, options.round
        self._backend, self._claimers = open_backend(url), Claimers(url, options.claimers)
        push(self._backend, options.depth)

    def round(self) -> float:
        """Jobs a second."""
        return run_round(self._backend, self._claimers, self._url, self._jobs)

    def left(self) -> int:
        """How many jobs wait."""
        return self._backend.counts("q").ready

    def stop(self) -> None:
        self._claimers.stop()
        self._backend.close()


def measure(url: str, options: argparse.Namespace, bar: Progress) -> Table:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE free")
    held, free = (Side(each, options) for each in (url, f"{url.rpartition('/')[0]}/free"))
    table, ratios = Table("jobs passed under the snapshot", "jobs/s", "without", "ratio"), []

    def compare(passed: int) -> None:
        speed, other = held.round(), free.round()
        ratios.append(speed / other)
        table.add_row(f"{passed:,}", f"{speed:,.0f}", f"{other:,.0f}", f"{ratios[-1]:.2f}")

    for _ in range(2):
        compare(0)
    with psycopg.connect(url) as old:
        old.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        old.execute("SELECT 1")
        for passed in bar.track(range(options.round, options.jobs + 1, options.round)):
            compare(passed)
    table.add_section()
    table.add_row("median of the last five", "", "", f"{median(ratios[-5:]):.2f}")
    assert abs(held.left() - options.depth) <= options.claimers * BATCH, "jobs were lost, or came twice"
    held.stop()
    free.stop()
    return table


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=500_000)
    parser.add_argument("--round", type=int, default=25_000)
    parser.add_argument("--claimers", type=int, default=4)
    parser.add_argument("--depth", type=int, default=20_000)
    options = parser.parse_args()
    with ExitStack() as stack:
        url = stack.enter_context(postgres.server(autovacuum="on")).url
        bar = stack.enter_context(Progress(console=Console(stderr=True)))
        table = measure(url, options, bar)
    Console().print(table)


if __name__ == "__main__":
    main()
