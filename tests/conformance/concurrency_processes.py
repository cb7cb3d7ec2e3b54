"""Calls made at the same time by several processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from typing import Final, TypeAlias

from jobcore.backend import Answer, Backend, Push
from jobcore.conformance.concurrency_hammer import Hammer
from jobcore.conformance.history import Operation

PROCESSES: Final = 3
ROUNDS: Final = 100
"""Calls of each process."""

BOUND: Final = 180.0
"""Seconds within which processes have come up and done their part: on a busy machine, loading Python takes long."""

Opening: TypeAlias = Callable[[], Backend]

_meeting: list[Barrier] = []
"""In a process that was started: where it meets the others."""


def by_processes(opening: Opening, queue: str, seed: int) -> list[Operation] | None:
    """A history of processes that were started anew. Time passes by itself, and none knows of another's tokens.

    None: what they open is another store.
    """
    backend = opening()
    try:
        with _pool(PROCESSES) as pool:
            backend.push(queue, [Push("here", b"")])
            if not pool.submit(_finds, opening, queue).result(BOUND):
                return None
            running = [pool.submit(_strike, opening, queue, number, seed) for number in range(PROCESSES)]
            history = [operation for one in running for operation in one.result(BOUND)]
        return history + Hammer(backend, queue, PROCESSES, seed, [], int).look_at_all()
    finally:
        backend.destroy(queue)
        backend.close()


@contextmanager
def _pool(size: int) -> Iterator[ProcessPoolExecutor]:
    context = get_context("spawn")  # a forked child would go on with this process's threads and connections
    with ProcessPoolExecutor(size, context, _enter, (context.Barrier(size, timeout=BOUND),)) as pool:
        yield pool


def _enter(meeting: Barrier) -> None:
    _meeting.append(meeting)


def _finds(opening: Opening, queue: str) -> bool:
    backend = opening()
    try:
        return backend.remove(queue, ["here"]) == [Answer.DONE]
    finally:
        backend.close()


def _strike(opening: Opening, queue: str, number: int, seed: int) -> list[Operation]:
    backend = opening()
    try:
        return Hammer(backend, queue, number, seed, [], _meeting[0].wait).strike(ROUNDS)
    finally:
        backend.close()
