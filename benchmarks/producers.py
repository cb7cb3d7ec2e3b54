"""What waking costs those who enqueue: eight producers at once on PostgreSQL, with a worker that runs what they push.

    python benchmarks/producers.py [--jobs 400] [--rounds 5] [--fsync]

Each producer is a process that pushes one job after the other. In one run and in turns, the driver's pushes: with no
triggers and nobody who listens; with triggers, and nobody who listens; and with the worker listening, so that whoever
finds it asleep wakes it. Then INSERTs of another program, first without triggers and then with: these notify within
their transactions. What counts is the ratio of medians; the speeds depend on the machine and what else it does.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from threading import Event
from time import perf_counter
from typing import NamedTuple

import psycopg
from rich.console import Console
from rich.progress import track
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from jobcore import Queue, Worker
from jobcore.backend import Push
from jobcore.backends.postgres import connect

from servers import postgres

PRODUCERS = 8
PAYLOAD = b'{"job":"noop","args":{}}'


class Way(NamedTuple):
    """A way to enqueue: the schema's name, whether it has triggers, whether the worker listens, and who pushes."""

    schema: str
    title: str
    triggers: bool
    notify: str
    raw: bool = False


WAYS = (
    Way("plain", "push, nothing that wakes", triggers=False, notify="off"),
    Way("triggers", "push, with triggers", triggers=True, notify="off"),
    Way("waking", "push, waking the worker", triggers=True, notify="on"),
    Way("raw", "INSERT, nothing that wakes", triggers=False, notify="off", raw=True),
    Way("raw_waking", "INSERT, waking by the trigger", triggers=True, notify="on", raw=True),
)


def pusher(url: str, way: Way) -> Callable[[str], object]:
    """What pushes a job of an id."""
    if not way.raw:
        backend = connect(f"{url}?schema={way.schema}&notify={way.notify}")
        return lambda name: backend.push("q", [Push(name, PAYLOAD)])
    connection = psycopg.connect(url, autocommit=True, prepare_threshold=0)
    insert = (
        "INSERT INTO {s}.jobs (queue, id, state, rank, place, seq, pushed_at, payload)"
        " VALUES ('q', %s, 'ready', 0, 1, nextval('{s}.batches') << 17, 1, %s)"
    )
    statement = insert.replace("{s}", way.schema).encode()
    return lambda name: connection.execute(statement, [name, PAYLOAD])


def produce(url: str, number: int, orders: Connection) -> None:
    """A producer: pushes as many jobs as it is told to, in the way that it is told."""
    pushers = {way.schema: pusher(url, way) for way in WAYS}
    orders.send("ready")
    while order := orders.recv():
        schema, round, jobs = order
        push = pushers[schema]
        for job in range(jobs):
            push(f"{round}-{number}-{job}")
        orders.send("done")


def work(url: str, way: Way) -> None:
    """A worker that runs what comes, until it is terminated."""
    queue = Queue("q", f"{url}?schema={way.schema}&notify={way.notify}")

    @queue.job
    def noop() -> None: ...

    Worker(queue, monitor=False).run()


def prepare(url: str) -> None:
    """Make the schemas, and the triggers where they are wanted."""
    with psycopg.connect(url, autocommit=True) as connection:
        for way in WAYS:
            backend = connect(f"{url}?schema={way.schema}&notify=off")
            backend.counts("q")
            backend.close()
            if way.triggers:
                connection.execute(f"SELECT {way.schema}.ensure_triggers()".encode())


@contextmanager
def crew(url: str) -> Iterator[list[Connection]]:
    """A worker for each way, and the producers."""
    spawn = get_context("spawn")
    pipes = [spawn.Pipe() for _ in range(PRODUCERS)]
    crew = [spawn.Process(target=work, args=(url, way)) for way in WAYS]
    crew += [spawn.Process(target=produce, args=(url, number, theirs)) for number, (_, theirs) in enumerate(pipes)]
    for member in crew:
        member.start()
    try:
        producers = [ours for ours, _ in pipes]
        for producer in producers:
            producer.recv()
        yield producers
    finally:
        for member in crew:
            member.terminate()
            member.join()


def measure(producers: list[Connection], order: tuple[str, int, int]) -> float:
    """Jobs a second of all producers together."""
    begun = perf_counter()
    for producer in producers:
        producer.send(order)
    for producer in producers:
        producer.recv()
    return PRODUCERS * order[2] / (perf_counter() - begun)


def settled(url: str, schema: str) -> None:
    """Wait until the worker has run everything, so that it is asleep when the next round begins."""
    pause = Event()
    with psycopg.connect(url, autocommit=True) as connection:
        while connection.execute(f"SELECT FROM {schema}.jobs LIMIT 1".encode()).fetchone() is not None:
            pause.wait(0.05)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=400, help="of each producer in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--fsync", action="store_true", help="have each commit reach the disk")
    options = parser.parse_args()
    speeds: dict[str, list[float]] = {way.schema: [] for way in WAYS}
    with postgres.server(fsync="on" if options.fsync else "off") as server:
        prepare(server.url)
        with crew(server.url) as producers:
            for round in track(range(options.rounds + 1), "rounds"):  # the first only warms up
                for way in WAYS[:: (-1) ** round]:
                    speed = measure(producers, (way.schema, round, options.jobs))
                    settled(server.url, way.schema)
                    speeds[way.schema] += [speed] * (round > 0)
    table = Table("8 producers, 1 worker", "jobs/s", "ratio")
    for way in WAYS:
        base = median(speeds["raw" if way.raw else "plain"])
        found = median(speeds[way.schema])
        table.add_row(way.title, f"{found:,.0f}", f"{found / base:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
