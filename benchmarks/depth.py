"""What claims, settlements and pushes cost in a deep queue, against one of a thousand jobs in the same store.

Measured on the way down as well, each time the queue is ten times as deep; on Redis down to five million. At a million
also how long it takes to look: at a page of each state's listing, and at the counts. Not in memory, which is for tests,
and goes over all it has for that.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from time import perf_counter
from typing import Final

from measure import STORES, Bench, Row, alternately, at_most, fill

from jobcore import open_backend
from jobcore.backend import Backend, Keep, State, Succeed

SHALLOW, DEEP, BATCH, PAGE = 1_000, 1_000_000, 100, 20
DEEPEST: Final = {"redis": 5_000_000}
LEASE: Final = 60_000_000


def rows(bench: Bench) -> Iterator[Row]:
    """Microseconds a job, push, claim and settle together, a hundred at a time; and milliseconds to look."""
    for store in bench.chosen(*STORES):
        backend = open_backend(bench.url(store))
        fill(backend, SHALLOW, "shallow")
        sides = [partial(cycle, backend, queue) for queue in ("deep", "shallow")]
        deep, deepest = bench.jobs(DEEP), bench.jobs(DEEPEST.get(store, DEEP))
        points: dict[str, list[float]] = {}
        ahead = {depth for depth in (SHALLOW, 10_000, 100_000) if depth < deep}
        for depth in deeper(backend, sorted({*ahead, deep, deepest})):
            ours, bare = alternately(2 * bench.rounds, *sides)
            points[f"{depth}"] = ours
            if depth in {deep, deepest}:
                drawn = points if depth == deepest else {}
                yield Row(f"depth, {depth:,} queued against {SHALLOW:,}", ours, bare, at_most(1.5), "µs", store, drawn)
            if depth == deep and store != "memory":
                yield from looks(backend, depth, store, bench.rounds)
        backend.destroy("deep")
        backend.close()


def deeper(backend: Backend, depths: Iterable[int]) -> Iterator[int]:
    """Fills the queue as deep as each of these, and gives its depth."""
    before = 0
    for depth in depths:
        fill(backend, depth - before, "deep")
        yield depth
        before = depth


def cycle(backend: Backend, queue: str) -> float:
    """Microseconds a job, as a thousand jobs go through a queue, which leaves as many."""
    began = perf_counter()
    for _ in range(10):
        fill(backend, BATCH, queue)
        claims = backend.claim(queue, BATCH, LEASE, "bench", os.urandom(16), 1 << 30).claims
        backend.settle(queue, [(claim.hold, Succeed()) for claim in claims], Keep())
    return (perf_counter() - began) / (10 * BATCH) * 1e6


def looks(backend: Backend, depth: int, store: str, rounds: int) -> Iterator[Row]:
    """What tells of a queue that is so deep."""
    pages = partial(slowest, [partial(backend.peek, "deep", state, PAGE) for state in State])
    counts = partial(slowest, [partial(backend.counts, "deep")])
    (paging,), (counting,) = alternately(rounds, pages), alternately(rounds, counts)
    yield Row(f"the slowest page of {PAGE}, {depth:,} queued", paging, (), at_most(20), "ms", store)
    yield Row(f"counts, {depth:,} queued", counting, (), at_most(1000), "ms", store)


def slowest(calls: list[Callable[[], object]]) -> float:
    """Milliseconds of the slowest of these calls."""

    def taken(call: Callable[[], object]) -> float:
        began = perf_counter()
        call()
        return (perf_counter() - began) * 1000

    return max(map(taken, calls))
