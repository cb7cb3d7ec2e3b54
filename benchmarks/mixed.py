"""One long job among ten thousand short ones, two worker processes: how many short ones wait for the long one."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from measure import SERVERS, Bench, Row, Stamps, at_most, workers

LONG: Final = 10.0


def rows(bench: Bench) -> Iterator[Row]:
    """Short jobs that started after the long one had ended, and seconds that any started behind the last before it."""
    short = bench.jobs(10_000)
    for store in bench.chosen(*SERVERS):
        waited, gaps = zip(*[mixed(bench.url(store), short) for _ in range(min(3, bench.rounds))], strict=True)
        yield Row(f"of {short:,} short jobs, behind one of {LONG:g} s", waited, (), at_most(0), "jobs", store)
        yield Row("longest pause while short jobs wait", gaps, (), at_most(0.2), "s", store)


def mixed(url: str, short: int) -> tuple[float, float]:
    """How many short jobs waited for the long one to end, and the longest time in which none was started."""
    stamps = Stamps(url, short + 1)
    jobs = [stamps.stamp.job(number) for number in range(short)]
    jobs.insert(short // 10, stamps.stamp.job(short, LONG))
    for first in range(0, len(jobs), 1000):
        stamps.queue.enqueue_many(jobs[first : first + 1000])
    with workers(stamps.queue, 2):
        stamps.wait(*range(short + 1))
    long, starts = stamps.started[short], sorted(stamps.started[:short])
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    return sum(start > long + LONG for start in starts), max(gaps)
