"""How soon an idle worker in another process starts a job; how late a delayed one; what it costs to be idle.

From just before the call that enqueues to the job's first line, by the clock that all processes share.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from measure import SERVERS, Bench, Row, Stamps, at_most, percentile, workers

from servers.wire import watched

JOBS: Final = 100
GOALS: Final = {"redis": (0.001, 0.003), "postgres": (0.003, 0.006)}
DELAY: Final = 0.2
IDLE_SECONDS: Final = 5.0


def rows(bench: Bench) -> Iterator[Row]:
    """Latencies of single jobs, each while nothing else is queued."""
    for store in bench.chosen(*SERVERS):
        stamps = Stamps(bench.url(store), JOBS * (2 * bench.rounds + 1))
        with workers(stamps.queue) as (pid,):
            batches = [range(first * JOBS, (first + 1) * JOBS) for first in range(2 * bench.rounds + 1)]
            once(stamps, batches[0])
            prompt = [once(stamps, batch) for batch in batches[1::2]]
            delayed = [at_a_time(stamps, batch) for batch in batches[2::2]]
            idle = [busy(pid) for _ in range(min(3, bench.rounds))]
        for percent, limit in zip((50, 99), GOALS[store], strict=True):
            figures = [percentile(each, percent) * 1000 for each in prompt]
            points = {"ms": [seconds * 1000 for each in prompt for seconds in each]}
            yield Row(f"latency, idle worker, p{percent}", figures, (), at_most(limit * 1000), "ms", store, points)
        yield Row(
            "lateness of delayed jobs, p99",
            [percentile(each, 99) * 1000 for each in delayed],
            (),
            at_most(20),
            "ms",
            store,
        )
        yield Row("an idle worker's share of a core", [each * 100 for each in idle], (), at_most(0.5), "%", store)
        calls = [asked(bench.url(store)) for _ in range(min(3, bench.rounds))]
        yield Row("an idle worker's calls of the server", calls, (), at_most(2), "a second", store)


def once(stamps: Stamps, numbers: range) -> list[float]:
    """Seconds from each call to the job's start, one job at a time."""

    def taken(number: int) -> float:
        sent = time.perf_counter()
        stamps.stamp.enqueue(number)
        stamps.wait(number)
        time.sleep(0.005)  # until the worker is idle again
        started: float = stamps.started[number]
        return started - sent

    return [taken(number) for number in numbers]


def at_a_time(stamps: Stamps, numbers: range) -> list[float]:
    """Seconds by which delayed jobs start late, all enqueued before the first is due, each at a time of its own."""
    due = {}
    for number in numbers:
        delay = DELAY + 0.01 * (number - numbers[0])
        due[number] = time.perf_counter() + delay
        stamps.queue.enqueue(stamps.stamp.job(number), delay=delay)
    stamps.wait(*numbers)
    return [stamps.started[number] - due[number] for number in numbers]


def busy(pid: int) -> float:
    """The share of a core that a process uses while nothing happens."""
    before = cpu_seconds(pid)
    time.sleep(IDLE_SECONDS)
    return (cpu_seconds(pid) - before) / IDLE_SECONDS


def cpu_seconds(pid: int) -> float:
    """What a process has used of the processor."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def asked(url: str) -> float:
    """How often a second an idle worker process asks the server something."""
    with watched(url) as wire, workers(Stamps(wire.url, 0).queue):
        traffic = wire.during(lambda: time.sleep(IDLE_SECONDS))
    return traffic.exchanges / IDLE_SECONDS
