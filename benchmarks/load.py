"""Latency under load: a worker process that is given half as many jobs a second as it drains."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from measure import SERVERS, Bench, Row, Stamps, at_most, percentile, workers

SECONDS: Final = 3.0
TICK: Final = 0.01


def rows(bench: Bench) -> Iterator[Row]:
    """The 99th percentile, from the call that enqueues to the start."""
    for store in bench.chosen(*SERVERS):
        rate = drained(bench.url(store), bench.jobs(20_000)) / 2
        late = [percentile(given(bench.url(store), rate), 99) * 1000 for _ in range(bench.rounds)]
        yield Row(f"latency at half of the drain's rate, {rate:,.0f} jobs/s, p99", late, (), at_most(50), "ms", store)


def drained(url: str, jobs: int) -> float:
    """Jobs a second that a worker process starts of those that are queued."""
    starts = started(url, jobs)
    return jobs / (starts[-1] - starts[0])


def started(url: str, jobs: int, number: int = 1) -> list[float]:
    """When so many worker processes started jobs that were queued, in turn."""
    stamps = Stamps(url, jobs)
    for first in range(0, jobs, 1000):
        stamps.queue.enqueue_many([stamps.stamp.job(number) for number in range(first, min(jobs, first + 1000))])
    with workers(stamps.queue, number):
        stamps.wait(*range(jobs))
    return sorted(stamps.started)


def given(url: str, rate: float) -> list[float]:
    """Seconds until each of the jobs started that were enqueued at this rate, some every hundredth of a second."""
    each, ticks = max(1, round(rate * TICK)), round(SECONDS / TICK)
    stamps, sent = Stamps(url, each * ticks), []
    with workers(stamps.queue):
        began = time.perf_counter()
        for tick in range(ticks):
            time.sleep(max(0.0, began + tick * TICK - time.perf_counter()))
            sent += [time.perf_counter()] * each
            stamps.queue.enqueue_many([stamps.stamp.job(number) for number in range(tick * each, (tick + 1) * each)])
        stamps.wait(*range(each * ticks))
    return [start - call for start, call in zip(stamps.started, sent, strict=True)]
