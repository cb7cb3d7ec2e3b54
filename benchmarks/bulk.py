"""Enqueuing 1,000 jobs a call, against the barest program that stores as many bytes in the same server.

Redis: a pipeline of a thousand `RPUSH`. PostgreSQL: `COPY` of a thousand rows into a table with a primary key. Neither
keeps an order, answers for each job or wakes anybody.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any, Final

import psycopg
import redis
from measure import PAYLOAD, SERVERS, Bench, Row, at_least, interleaved

from jobcore import Queue

BATCH: Final = 1000
GOALS: Final = {"redis": at_least(0.92), "postgres": at_least(0.5)}


def rows(bench: Bench) -> Iterator[Row]:
    """Enqueuing in bulk, against the bare program."""
    jobs = bench.jobs(20_000)
    for store in bench.chosen(*SERVERS):
        url = bench.url(store)
        calls = enqueuing(url), BARE[store](url)
        interleaved(range(1), jobs, BATCH, *calls)  # does not count
        ours, bare = interleaved(range(bench.rounds), jobs, BATCH, *calls)
        yield Row("enqueue, 1,000 a call", ours, bare, GOALS[store], store=store)


def enqueuing(url: str) -> Callable[[], object]:
    """One call of ours."""
    queue: Queue[Any] = Queue("bulk", url)

    @queue.job
    def stamp(number: int) -> None: ...

    return lambda: queue.enqueue_many([stamp.job(number) for number in range(BATCH)])


def pipelining(url: str) -> Callable[[], object]:
    """One pipeline to Redis."""
    client = redis.Redis.from_url(url)

    def call() -> None:
        with client.pipeline(transaction=False) as pipe:
            for _ in range(BATCH):
                pipe.rpush("bare", PAYLOAD)
            pipe.execute()

    return call


def copying(url: str) -> Callable[[], object]:
    """One COPY to PostgreSQL."""
    connection = psycopg.connect(url, autocommit=True)
    connection.execute("CREATE TABLE IF NOT EXISTS bare (id text PRIMARY KEY, queue text, payload bytea)")

    def call() -> None:
        with connection.cursor().copy("COPY bare FROM STDIN") as copy:
            for _ in range(BATCH):
                copy.write_row((os.urandom(8).hex(), "bulk", PAYLOAD))

    return call


BARE: Final = {"redis": pipelining, "postgres": copying}
