"""What queued jobs take of Redis's memory, and whether a worker's own grows while jobs pass through it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import redis
from measure import PAYLOAD, Bench, Row, Stamps, at_most, fill, workers

from jobcore import open_backend


def rows(bench: Bench) -> Iterator[Row]:
    """Both, on Redis."""
    if bench.chosen("redis"):
        url = bench.url("redis")
        each = [above_payload(url, bench.jobs(100_000)) for _ in range(bench.rounds)]
        yield Row("memory of a queued job above its payload", each, (), at_most(270), "bytes", "redis")
        jobs = bench.jobs(5_000_000)
        yield Row(f"growth of a worker over {jobs:,} jobs", [growth(url, jobs)], (), at_most(10), "MB", "redis")


def above_payload(url: str, jobs: int) -> float:
    """Bytes that the server says it uses for each of so many jobs, less their payloads."""
    backend, client = open_backend(url), redis.Redis.from_url(url)
    backend.counts("room")  # the script is loaded
    while client.info("memory")["lazyfree_pending_objects"]:  # of what was destroyed before
        time.sleep(0.01)
    before = client.info("memory")["used_memory"]
    fill(backend, jobs, "room")
    used: int = client.info("memory")["used_memory"] - before
    backend.destroy("room")
    backend.close()
    return used / jobs - len(PAYLOAD)


def growth(url: str, jobs: int) -> float:
    """By how much a worker's resident memory grew between a tenth of these jobs and the last of them, in megabytes."""
    stamps, before = Stamps(url, 1000), 0
    with workers(stamps.queue) as (pid,):
        for first in range(0, jobs, 1000):
            stamps.started[999] = 0
            stamps.queue.enqueue_many([stamps.stamp.job(number) for number in range(1000)])
            stamps.wait(999)
            if first == jobs // 10 // 1000 * 1000:
                before = resident(pid)
        return (resident(pid) - before) / 2**20


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
