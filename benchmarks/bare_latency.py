"""The barest program that waits in a server for another process's jobs, by the client library alone.

One job at a time is put in by one process and taken by another, so that it would not be lost with it: by BLMOVE on
Redis; by NOTIFY and an UPDATE of one row on PostgreSQL. Nothing is leased, encoded or run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

import psycopg
import redis
from measure import FORK

Put: TypeAlias = Callable[[int], object]
"""Puts a job in, by its number."""

TABLE: Final = """
DROP TABLE IF EXISTS bare_latency;
CREATE TABLE bare_latency (number bigint PRIMARY KEY, taken timestamptz)
"""
PUT: Final = "WITH put AS (INSERT INTO bare_latency VALUES (%s) RETURNING number) SELECT pg_notify('bare', '') FROM put"
TAKE: Final = """
UPDATE bare_latency SET taken = now()
WHERE number = (SELECT number FROM bare_latency WHERE taken IS NULL ORDER BY number LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING number
"""


@contextmanager
def waiting(store: str, url: str, started: Any) -> Iterator[Put]:
    """A process that waits, and notes in `started` when it got a job, by the job's number; gives what puts one in."""
    take, putting = {"redis": (take_redis, put_redis), "postgres": (take_postgres, put_postgres)}[store]
    with putting(url) as put:
        process = FORK.Process(target=take, args=(url, started), daemon=True)
        process.start()
        time.sleep(0.5)
        try:
            yield put
        finally:
            process.terminate()
            process.join()


@contextmanager
def put_redis(url: str) -> Iterator[Put]:
    """Appends to a list."""
    with redis.Redis.from_url(url) as client:
        client.delete("bare:jobs", "bare:taken")
        yield lambda number: client.rpush("bare:jobs", number)


def take_redis(url: str, started: Any) -> None:
    """Blocks in a move from one list to another."""
    client = redis.Redis.from_url(url, socket_timeout=None)  # it waits for as long as nothing comes
    while True:
        number = client.blmove("bare:jobs", "bare:taken", 0) or 0
        started[int(number)] = time.perf_counter()


@contextmanager
def put_postgres(url: str) -> Iterator[Put]:
    """Inserts a row and notifies, in one statement."""
    with psycopg.connect(url, autocommit=True, prepare_threshold=0) as connection:
        connection.execute(TABLE, prepare=False)
        yield lambda number: connection.execute(PUT, [number])


def take_postgres(url: str, started: Any) -> None:
    """Listens, and takes a row when told of one."""
    with (
        psycopg.connect(url, autocommit=True) as ear,
        psycopg.connect(url, autocommit=True, prepare_threshold=0) as hand,
    ):
        ear.execute("LISTEN bare")
        for _ in ear.notifies():
            for (number,) in hand.execute(TAKE):
                started[number] = time.perf_counter()
