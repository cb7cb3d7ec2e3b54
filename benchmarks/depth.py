"""What claims, settlements and pushes cost in a deep queue, against one of a thousand jobs in the same store."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Final

from measure import STORES, Bench, Row, alternately, at_most, fill

from jobcore import open_backend
from jobcore.backend import Backend, Keep, Succeed

SHALLOW, DEEP, BATCH = 1_000, 1_000_000, 100
LEASE: Final = 60_000_000


def rows(bench: Bench) -> Iterator[Row]:
    """Microseconds a job, push, claim and settle together, a hundred at a time."""
    deep = bench.jobs(DEEP)
    for store in bench.chosen(*STORES):
        backend = open_backend(bench.url(store))
        fill(backend, SHALLOW, "shallow")
        fill(backend, deep, "deep")
        sides = [cycling(backend, queue) for queue in ("deep", "shallow")]
        ours, bare = alternately(2 * bench.rounds, *sides)
        yield Row(f"depth, {deep:,} queued against {SHALLOW:,}", ours, bare, at_most(1.5), "µs", store)
        backend.destroy("deep")
        backend.close()


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
