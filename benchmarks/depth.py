"""What claims, settlements and pushes cost in a deep queue, against one of a thousand jobs in the same store.

Measured on the way down as well, each time the queue is ten times as deep.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import Final

from measure import STORES, Bench, Row, alternately, at_most, fill

from jobcore import open_backend
from jobcore.backend import Backend, Keep, Succeed

SHALLOW, DEEP, BATCH = 1_000, 1_000_000, 100
LEASE: Final = 60_000_000


def rows(bench: Bench) -> Iterator[Row]:
    """Microseconds a job, push, claim and settle together, a hundred at a time."""
    for store in bench.chosen(*STORES):
        backend = open_backend(bench.url(store))
        fill(backend, SHALLOW, "shallow")
        sides = [cycling(backend, queue) for queue in ("deep", "shallow")]
        found = dict(deeper(backend, sides, bench))
        points = {f"{depth}": ours for depth, (ours, _) in found.items()}
        depth, (ours, bare) = found.popitem()
        yield Row(f"depth, {depth:,} queued against {SHALLOW:,}", ours, bare, at_most(1.5), "µs", store, points)
        backend.destroy("deep")
        backend.close()


def deeper(
    backend: Backend, sides: Sequence[Callable[[], float]], bench: Bench
) -> Iterator[tuple[int, list[list[float]]]]:
    """What was measured at each depth: a thousand, ten thousand and so on."""
    depth, deepest = 0, bench.jobs(DEEP)
    while depth < deepest:
        step = min(10 * depth or SHALLOW, deepest)
        fill(backend, step - depth, "deep")
        depth = step
        yield depth, alternately(2 * bench.rounds, *sides)


def cycling(backend: Backend, queue: str) -> Callable[[], float]:
    """What takes a thousand jobs through a queue, and leaves as many."""

    def cycle() -> float:
        began = perf_counter()
        for _ in range(10):
            fill(backend, BATCH, queue)
            claims = backend.claim(queue, BATCH, LEASE, "bench", os.urandom(16), 1 << 30).claims
            backend.settle(queue, [(claim.hold, Succeed()) for claim in claims], Keep())
        return (perf_counter() - began) / (10 * BATCH) * 1e6

    return cycle
