"""What waking costs those who enqueue: eight producers at once on PostgreSQL, with a worker that runs what they push.

    python benchmarks/producers.py [--jobs 1500] [--rounds 5] [--fsync]

Each producer is a process that pushes one job after the other. In one run and in turns, the driver's pushes: with no
triggers and nobody who listens; with triggers, and nobody who listens; and with the worker listening, so that whoever
finds it asleep wakes it. Then INSERTs of another program, first without triggers and then with: these notify within
their transactions. What counts is the ratio of medians; the speeds depend on the machine and what else it does.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from statistics import median
from threading import Event
from time import perf_counter
from typing import NamedTuple

import psycopg
from measure import Bench, Row, at_least
from rich.console import Console
from rich.progress import track
from rich.table import Table

from jobcore import Queue, Worker
from jobcore.backend import Push
from jobcore.backends.postgres import connect

PRODUCERS = 8
PAYLOAD = b'{"job":"noop","args":{}}'


class Way(NamedTuple):
    """A way to enqueue: the schema's name, whether it has triggers, whether the worker listens, and who pushes."""

    schema: str
    title: str
    triggers: bool
    notify: str
    raw: bool = False


PLAIN = Way("plain", "push, nothing that wakes", triggers=False, notify="off")
TRIGGERS = Way("triggers", "push, with triggers", triggers=True, notify="off")
WAKING = Way("waking", "push, waking the worker", triggers=True, notify="on")
RAW = Way("raw", "INSERT, nothing that wakes", triggers=False, notify="off", raw=True)
RAW_WAKING = Way("raw_waking", "INSERT, waking by the trigger", triggers=True, notify="on", raw=True)
WAYS = (PLAIN, TRIGGERS, WAKING, RAW, RAW_WAKING)


def rows(bench: Bench) -> Iterator[Row]:
    """Pushes that wake a worker, against such as don't."""
    if "postgres" in bench.stores:
        found = measure(bench.url("postgres"), (PLAIN, WAKING), bench.jobs(1500), range(bench.rounds + 1))
        yield Row(
            f"enqueue, {PRODUCERS} producers, waking a worker or not",
            found[WAKING],
            found[PLAIN],
            at_least(0.8),
            store="postgres",
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


def produce(url: str, ways: Sequence[Way], number: int, orders: Connection) -> None:
    """A producer: pushes as many jobs as it is told to, in the way that it is told."""
    pushers = {way.schema: pusher(url, way) for way in ways}
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


def prepare(url: str, ways: Sequence[Way]) -> None:
    """Make the schemas, and the triggers where they are wanted."""
    with psycopg.connect(url, autocommit=True) as connection:
        for way in ways:
            backend = connect(f"{url}?schema={way.schema}&notify=off")
            backend.counts("q")
            backend.close()
            if way.triggers:
                connection.execute(f"SELECT {way.schema}.ensure_triggers()".encode())


@contextmanager
def crew(url: str, ways: Sequence[Way]) -> Iterator[list[Connection]]:
    """A worker for each way, and the producers."""
    spawn = get_context("spawn")
    pipes = [spawn.Pipe() for _ in range(PRODUCERS)]
    crew = [spawn.Process(target=work, args=(url, way)) for way in ways]
    crew += [
        spawn.Process(target=produce, args=(url, ways, number, theirs)) for number, (_, theirs) in enumerate(pipes)
    ]
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


def measure(url: str, ways: Sequence[Way], jobs: int, rounds: Iterable[int]) -> dict[Way, list[float]]:
    """Jobs a second in each way, a figure for each round but the first, which only warms up."""
    prepare(url, ways)
    speeds: dict[Way, list[float]] = {way: [] for way in ways}
    with crew(url, ways) as producers:
        for round in rounds:
            for way in ways[:: (-1) ** round]:
                speed = timed(producers, (way.schema, round, jobs))
                settled(url, way.schema)
                speeds[way] += [speed] * (round > 0)
    return speeds


def timed(producers: list[Connection], order: tuple[str, int, int]) -> float:
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
    parser.add_argument("--jobs", type=int, default=1500, help="of each producer in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--fsync", action="store_true", help="have each commit reach the disk")
    options = parser.parse_args()
    with closing(Bench(["postgres"], fsync="on" if options.fsync else "off")) as bench:
        rounds = track(range(options.rounds + 1), "rounds")
        speeds = measure(bench.url("postgres"), WAYS, options.jobs, rounds)
    table = Table("8 producers, 1 worker", "jobs/s", "ratio")
    for way in WAYS:
        base = median(speeds[RAW if way.raw else PLAIN])
        found = median(speeds[way])
        table.add_row(way.title, f"{found:,.0f}", f"{found / base:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
