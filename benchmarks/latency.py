"""How soon an idle worker in another process starts a job; how late a delayed one; what it costs to be idle.

From just before the call that enqueues to the job's first line, by the clock that all processes share. Beside it stands
what the barest program takes for that on the same server, in the same rounds.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import bare_latency
from measure import SERVERS, Bench, Row, Stamps, at_most, await_starts, percentile, starts, workers

from servers.wire import watched

JOBS: Final = 100
GOALS: Final = {"redis": (0.001, 0.003), "postgres": (0.003, 0.006)}
DELAY: Final = 0.2
IDLE_SECONDS: Final = 5.0


def rows(bench: Bench) -> Iterator[Row]:
    """Latencies of single jobs, each while nothing else is queued."""
    for store in bench.chosen(*SERVERS):
        url, jobs = bench.url(store), JOBS * (2 * bench.rounds + 1)
        stamps, bare = Stamps(url, jobs), starts(jobs)
        batches = [range(first, first + JOBS) for first in range(0, jobs, JOBS)]
        with workers(stamps.queue) as (pid,), bare_latency.waiting(store, url, bare) as put:
            ways = (stamps.stamp.enqueue, stamps.started), (put, bare)
            rounds = [[once(*way, batch) for way in ways] for batch in batches[::2]]
            delayed = [at_a_time(stamps, batch) for batch in batches[1::2]]
            idle = [busy(pid) for _ in range(min(3, bench.rounds))]
        prompt, beside = zip(*rounds[1:], strict=True)
        for percent, limit in zip((50, 99), GOALS[store], strict=True):
            ours, bares = ([percentile(each, percent) * 1000 for each in side] for side in (prompt, beside))
            points, goal = {"ms": [seconds * 1000 for each in prompt for seconds in each]}, at_most(limit * 1000)
            yield Row(f"latency, idle worker, p{percent}", ours, (), goal, "ms", store, points, beside=bares)
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


def once(put: Callable[[int], object], started: Any, numbers: range) -> list[float]:
    """Seconds from each call to the job's start, one job at a time."""

    def taken(number: int) -> float:
        sent = time.perf_counter()
        put(number)
        await_starts(started, number)
        time.sleep(0.005)  # until the worker is idle again
        return float(started[number] - sent)

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
