"""What each rival's program shares: where to go, a stamp for each job that starts, and how long enqueuing takes.

Only of the standard library: it runs in the rivals' own environments.

Attributes:
    URL: the store, which is empty.
    JOBS: how many to enqueue and run.
    HANDS: how many jobs a worker runs at a time, where it can.
"""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

URL = os.environ["PEER_URL"]
JOBS = int(os.environ["PEER_JOBS"])
HANDS = 16

with Path(os.environ["PEER_STAMPS"]).open("r+b") as _file:
    _stamps = memoryview(mmap.mmap(_file.fileno(), 0)).cast("d")


def stamp(number: int) -> None:
    """The job: note when this one started, where the runner sees it, whatever process runs it."""
    _stamps[number] = time.perf_counter()


async def astamp(number: int) -> None:
    """The same for a worker whose jobs are coroutines."""
    stamp(number)


@contextmanager
def enqueuing() -> Iterator[None]:
    """Note how long the block takes: it enqueues all jobs, many a call, where the library can do that."""
    began = time.perf_counter()
    yield
    _stamps[JOBS] = time.perf_counter() - began
