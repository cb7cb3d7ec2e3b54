"""What it costs to enqueue jobs one at a time, each acknowledged, beside a bare loop over the client library.

    python benchmarks/enqueue.py [redis] [postgres] [--jobs 1000] [--rounds 9] [--fsync off]

For each store, in one run and in turns: a bare loop, the driver's `push` of one, and `queue.enqueue`, which also
encodes the job, decodes it again and compares. The bare loop is an EVALSHA that stores a hash's field and a sorted
set's member, or an INSERT into a table with the same columns and indexes, over psycopg in autocommit. For PostgreSQL
there is also one that executes the INSERT and then calls `commit()`, as psycopg comes; and there are loops that send
the driver's own statement: as barely, which tells what it costs that the order holds and that who waits is woken; and
over a cursor that is kept, which is all that a push can come to. What counts is the ratio of medians.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from statistics import median

import psycopg
import redis
from measure import SERVERS, Bench, Row, at_least, interleaved
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from jobcore import Queue
from jobcore.backend import Push
from jobcore.backends.postgres.statements import Statements
from jobcore.pushing import new_id

PAYLOAD = b'{"job":"mail","args":{"to":"a@b.c","number":7}}'
SCRIPT = """
local now = redis.call('TIME')
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return redis.call('ZADD', KEYS[2], 0, now[1] .. now[2] .. ARGV[1])
"""
INSERT = """
INSERT INTO bare_one (queue, id, state, rank, place, seq, pushed_at, payload)
VALUES ('q', %s, 'ready', 0, extract(epoch FROM clock_timestamp()) * 1000000, nextval('bare_seq'), 0, %s)
"""

TURN = 50
"""Jobs that one way enqueues before the next one does: enough for its code to be at hand, as in a loop of its own."""

Enqueue = Callable[[], object]
Loops = dict[str, Enqueue]


def rows(bench: Bench) -> Iterator[Row]:
    """Enqueuing, and the driver's push alone, against the bare loop."""
    jobs = bench.jobs(1000)
    for store in bench.chosen(*SERVERS):
        url = bench.url(store)
        with made(url) as queue, BARE[store](url) as loops:
            found = measure(queue, loops, jobs, range(bench.rounds))
        yield Row("enqueue, one at a time", found["enqueue"], found["bare"], at_least(0.85), store=store)
        if "commit" in found:
            yield Row(
                "the same, against INSERT and commit()", found["enqueue"], found["commit"], at_least(0.85), store=store
            )
        yield Row("push of one, by the driver", found["push"], found["bare"], at_least(0.85), store=store)
        if "same" in found:
            yield Row(
                "the push, against its statement alone", found["push"], found["same"], at_least(0.85), store=store
            )


@contextmanager
def bare_redis(url: str) -> Iterator[Loops]:
    client = redis.Redis.from_url(url)
    stored = client.register_script(SCRIPT).sha
    client.script_load(SCRIPT)
    yield {"bare": lambda: client.evalsha(stored, 2, "bare:{q}:jobs", "bare:{q}:ready", new_id(), PAYLOAD)}
    client.close()


@contextmanager
def bare_postgres(url: str) -> Iterator[Loops]:
    with (
        psycopg.connect(url, autocommit=True, prepare_threshold=0) as connection,
        psycopg.connect(url, prepare_threshold=0) as plain,
    ):
        connection.execute(
            "CREATE SEQUENCE bare_seq; CREATE TABLE bare_one (LIKE jobcore.jobs INCLUDING ALL)", prepare=False
        )
        statements = Statements("jobcore")
        statement, (text, names) = statements["push_one_new"], statements.numbered("push_one_new")
        rest: dict[str, object] = {"queue": "one", "now": None, "priority": 0, "delay": 0, "run_at": None}
        cursor = psycopg.RawCursor(connection)

        def bare() -> None:
            connection.execute(INSERT, [new_id(), PAYLOAD])

        def commit() -> None:
            plain.execute(INSERT, [new_id(), PAYLOAD])
            plain.commit()

        def same() -> object:
            given = {**rest, "id": new_id(), "payload": PAYLOAD}
            return connection.execute(statement, given, binary=True).fetchone()

        def kept() -> object:
            given = {**rest, "id": new_id(), "payload": PAYLOAD}
            return cursor.execute(text, [given[name] for name in names], binary=True).fetchone()

        yield {"bare": bare, "commit": commit, "same": same, "kept": kept}


TITLES = {
    "bare": "a bare loop",
    "commit": "a bare loop that calls commit()",
    "same": "a bare loop of the driver's statement",
    "kept": "the same, over a cursor that is kept",
    "push": "push of one, by the driver",
    "enqueue": "enqueue",
}
BARE = {"redis": bare_redis, "postgres": bare_postgres}


@contextmanager
def made(url: str) -> Iterator[Queue[None]]:
    """A queue whose tables, if it needs any, are there."""
    queue: Queue[None] = Queue("one", url)
    queue.backend.push(queue.name, [Push(new_id(), PAYLOAD)])
    yield queue
    queue.backend.destroy(queue.name)
    queue.close()


def measure(queue: Queue[None], bare: Loops, jobs: int, rounds: Iterable[int]) -> dict[str, list[float]]:
    """Jobs a second in each way, one figure a round."""

    @queue.job
    def mail(to: str, number: int) -> None: ...

    ways: dict[str, Enqueue] = {
        **bare,
        "push": lambda: queue.backend.push(queue.name, [Push(new_id(), PAYLOAD)]),
        "enqueue": lambda: mail.enqueue("a@b.c", 7),
    }
    turns = [partial(repeat, enqueue) for enqueue in ways.values()]
    return dict(zip(ways, interleaved(rounds, jobs, TURN, *turns), strict=True))


def repeat(enqueue: Enqueue) -> None:
    """A turn of one way."""
    for _ in range(TURN):
        enqueue()


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stores", nargs="*", choices=["redis", "postgres", []])
    parser.add_argument("--jobs", type=int, default=1000, help=f"each way in a round, in turns of {TURN}")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--fsync", choices=["on", "off"], default="on", help="whether PostgreSQL commits to the disk")
    options = parser.parse_args()
    table = Table("store", "what", "jobs/s", "of the bare loop")
    with (
        closing(Bench(options.stores or SERVERS, fsync=options.fsync)) as bench,
        Progress(console=Console(stderr=True)) as bar,
    ):
        for store in bench.stores:
            url, rounds = bench.url(store), bar.track(range(options.rounds), description=store)
            with made(url) as queue, BARE[store](url) as loops:
                speeds = measure(queue, loops, options.jobs, rounds)
            found = {way: median(each) for way, each in speeds.items()}
            for way, speed in found.items():
                table.add_row(store, TITLES[way], f"{speed:,.0f}", f"{speed / found['bare']:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
