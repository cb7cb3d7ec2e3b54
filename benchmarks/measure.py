"""What the benchmarks share: rows with goals, stores of their own, and worker processes that report when jobs start."""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from jobcore import Queue, Worker
from jobcore.backend import Backend, Push
from jobcore.pushing import new_id

from servers import postgres, redis

STORES = ("memory", "sqlite", "redis", "postgres")
SERVERS = ("redis", "postgres")
PAYLOAD = b'{"job":"stamp","args":{"number":1}}'

FORK = multiprocessing.get_context("fork")


class Goal(NamedTuple):
    """What a figure should be: at least, or at most, so much."""

    sign: str
    bound: float

    def met(self, value: float) -> bool:
        """Whether a figure is as it should be."""
        return value >= self.bound if self.sign == "≥" else value <= self.bound

    def __str__(self) -> str:
        return f"{self.sign} {self.bound:g}"


def at_least(bound: float) -> Goal:
    """No less than this."""
    return Goal("≥", bound)


def at_most(bound: float) -> Goal:
    """No more than this."""
    return Goal("≤", bound)


@dataclass(frozen=True)
class Row:
    """One figure and its goal.

    Attributes:
        name: what is measured.
        ours: what was measured, one figure a round.
        bare: what it is compared with, one figure for each of these rounds; empty where the goal is for `ours` itself.
        goal: for the ratio of both, or for `ours`.
        unit: of `ours`.
        store: where the jobs were.
        points: what a picture is drawn of: single figures, by their place on its axis.
        beside: what a bare program took in the same rounds, where the goal is for `ours` itself all the same.
    """

    name: str
    ours: Sequence[float]
    bare: Sequence[float]
    goal: Goal
    unit: str = "jobs/s"
    store: str = ""
    points: Mapping[str, Sequence[float]] = field(default_factory=dict)
    beside: Sequence[float] = ()

    @property
    def figures(self) -> list[float]:
        """What the goal is for, round by round: what else the machine does concerns both sides of a round."""
        return [ours / bare for ours, bare in zip(self.ours, self.bare, strict=True)] if self.bare else [*self.ours]

    @property
    def value(self) -> float:
        """Their median."""
        return median(self.figures)

    @property
    def spread(self) -> tuple[float, float]:
        """Their quartiles."""
        if len(self.figures) < 2:
            return self.value, self.value
        low, _, high = quantiles(self.figures, n=4, method="inclusive")
        return low, high

    @property
    def met(self) -> bool:
        """Whether the goal is reached."""
        return self.goal.met(self.value)


@dataclass
class Bench:
    """What a benchmark is given.

    Attributes:
        stores: those to measure.
        rounds: how often; each side of a comparison in turn.
        scale: by how much all numbers of jobs are multiplied.
        fsync: whether PostgreSQL commits to the disk: "on", as users' servers do and the tests' don't, or "off".
    """

    stores: Sequence[str]
    rounds: int = 5
    scale: float = 1.0
    fsync: str = "on"
    _urls: dict[str, str] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack)

    def jobs(self, number: int) -> int:
        """So many, scaled; whole hundreds."""
        return max(100, round(number * self.scale / 100) * 100)

    def chosen(self, *stores: str) -> list[str]:
        """Which of these to measure."""
        return [store for store in stores if store in self.stores]

    def url(self, store: str) -> str:
        """Where a store is: a server of our own, started at the first call."""
        if store not in self._urls:
            self._urls[store] = self._start(store)
        return self._urls[store]

    def _start(self, store: str) -> str:
        match store:
            case "redis":
                return self._stack.enter_context(redis.server()).url
            case "postgres":
                return self._stack.enter_context(postgres.server(fsync=self.fsync, full_page_writes=self.fsync)).url
            case "sqlite":
                return f"sqlite:///{self._stack.enter_context(TemporaryDirectory(prefix='jobcore-bench-'))}/jobs.db"
            case _:
                return "memory://"

    def close(self) -> None:
        """Stop all servers."""
        self._stack.close()


def alternately(rounds: int, *sides: Callable[[], float]) -> list[list[float]]:
    """Measure each side once a round, in turns, after a round that does not count; the figures of each side."""
    for side in sides:
        side()
    taken = [[side() for side in sides] for _ in range(rounds)]
    return [list(each) for each in zip(*taken, strict=True)]


def interleaved(rounds: Iterable[int], jobs: int, turn: int, *sides: Callable[[], object]) -> list[list[float]]:
    """Jobs a second of each side, a figure a round, in which they take turns of so many jobs.

    For sides that can change over in the midst: a disk that stalls, or a neighbour that comes and goes, hits all alike.
    """
    taken: list[list[float]] = []
    for _ in rounds:
        taken.append(seconds := [0.0] * len(sides))
        for _ in range(0, jobs, turn):
            for number, side in enumerate(sides):
                began = time.perf_counter()
                side()
                seconds[number] += time.perf_counter() - began
    return [[jobs / each for each in side] for side in zip(*taken, strict=True)]


def speed(jobs: int, run: Callable[[], object]) -> float:
    """Jobs a second."""
    began = time.perf_counter()
    run()
    return jobs / (time.perf_counter() - began)


def percentile(values: Sequence[float], percent: int) -> float:
    """The value that so many percent do not exceed."""
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]


def fill(backend: Backend, jobs: int, queue: str = "q") -> None:
    """Push jobs that are never run, a thousand a call, with ids as `enqueue` makes them up: later ones sort later."""
    for first in range(0, jobs, 1000):
        backend.push(queue, [Push(new_id(), PAYLOAD) for _ in range(min(1000, jobs - first))])


class Stamps:
    """A queue whose jobs note when they start, in memory that processes share.

    Attributes:
        queue: where `stamp.job(number, seconds)` may be enqueued; it then takes so long.
        started: by a job's number, when it started, by `perf_counter`, which all processes share; 0: not yet.
    """

    def __init__(self, url: str, jobs: int) -> None:
        self.queue: Queue[Any] = Queue("q", url)
        self.started = starts(jobs)

        @self.queue.job
        def stamp(number: int, seconds: float = 0.0) -> None:
            self.started[number] = time.perf_counter()
            time.sleep(seconds)

        self.stamp = stamp

    def wait(self, *numbers: int) -> None:
        """Wait until these have started."""
        await_starts(self.started, *numbers)


def starts(jobs: int) -> Any:
    """When each of so many jobs started, by its number, in memory that processes share; 0: not yet."""
    return FORK.RawArray("d", jobs)


def await_starts(started: Any, *numbers: int, limit: float = 60.0) -> None:
    """Wait until these have started."""
    until = time.perf_counter() + limit
    for number in numbers:
        while not started[number]:
            if time.perf_counter() > until:
                sys.exit("the jobs did not start in time")
            time.sleep(0.001)


@contextmanager
def workers(queue: Queue[Any], number: int = 1, **options: Any) -> Iterator[list[int]]:
    """Have so many worker processes run a queue; gives their pids."""
    processes = [FORK.Process(target=Worker(queue, **options).run, daemon=True) for _ in range(number)]
    for process in processes:
        process.start()
    time.sleep(0.5)
    try:
        yield [process.pid or 0 for process in processes]
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()
        queue.backend.destroy(queue.name)
