"""What a second worker process adds: no-op jobs that are queued already, with two against one.

Each process needs a core, and the server one as well: with fewer, this tells how they share them. So beside the figure
stands how much of all cores was in use with one process, and with two: where one uses three quarters, two can't be more
than a third faster. What is asked for is 1.6, or where the cores don't allow that, nine tenths of what they do.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from threading import Event, Thread
from typing import Final

from load import started
from measure import SERVERS, Bench, Row, alternately, at_least

CORES: Final = os.cpu_count() or 1


def rows(bench: Bench) -> Iterator[Row]:
    """Two worker processes against one."""
    jobs = bench.jobs(20_000)
    for store in bench.chosen(*SERVERS):
        shares: tuple[list[float], list[float]] = [], []
        sides = [partial(drained, bench.url(store), jobs, number, share) for number, share in enumerate(shares, 1)]
        one, two = alternately(bench.rounds, *sides)
        used = " and ".join(f"{median(share[1:]):.0%}" for share in shares)  # the first round does not count
        name = f"drain, two processes against one ({used} of {CORES} cores)"
        yield Row(name, two, one, at_least(goal(median(shares[0][1:]))), store=store)


def goal(share: float) -> float:
    """How much faster two processes are to be than one that uses this share of all cores."""
    return min(1.6, round(0.9 / share, 2))


def drained(url: str, jobs: int, number: int, shares: list[float]) -> float:
    """Jobs a second of so many processes; to `shares` it adds how much of all cores was in use meanwhile."""
    with noting() as noted:
        starts = started(url, jobs, number)
    began, before = max(each for each in noted if each[0] <= starts[0])
    ended, after = min(each for each in noted if each[0] >= starts[-1])
    shares.append((after - before) / (ended - began) / CORES)
    return jobs / (starts[-1] - starts[0])


@contextmanager
def noting() -> Iterator[list[tuple[float, float]]]:
    """Gives a list that grows by the time and what the cores have worked until then, every hundredth of a second."""
    noted, over = [(time.perf_counter(), worked())], Event()

    def note() -> None:
        while not over.wait(0.01):
            noted.append((time.perf_counter(), worked()))

    thread = Thread(target=note)
    thread.start()
    try:
        yield noted
    finally:
        over.set()
        thread.join()
        noted.append((time.perf_counter(), worked()))


def worked() -> float:
    """Seconds that all cores together have worked until now, for whomever."""
    user, nice, system, _idle, _waiting, hard, soft = Path("/proc/stat").read_text().split()[1:8]
    return sum(map(int, (user, nice, system, hard, soft))) / os.sysconf("SC_CLK_TCK")
