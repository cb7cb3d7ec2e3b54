"""The nemesis: what goes wrong, drawn from a seed, each with its share of the jobs."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from enum import StrEnum
from typing import Final

import msgspec
from msgspec import Struct

from jobcore.errors import JobcoreError
from jobcore.prove.fleet import Fleet, Worker
from jobcore.prove.journal import now
from jobcore.prove.producing import Pace
from jobcore.prove.proxy import Proxy
from jobcore.prove.worker import SLOW

AT_ONCE: Final = 2
"""So many faults may overlap."""

PATIENCE_SECONDS: Final = 60.0
"""How long a store may take no job before the run is given up."""


_WORK_SECONDS: Final = 1.0
"""How long a worker is waited for that is to be met at work."""


class Kind(StrEnum):
    """What goes wrong.

    KILL: a worker gets SIGKILL, and another takes its place; PAUSE: one is stopped past its lease, then continued; CUT:
    all connections break, and none can be made for a moment; STALL: nothing gets through for a moment; SERVER: the
    server is killed and started again.
    """

    KILL = "kill"
    PAUSE = "pause"
    CUT = "cut"
    STALL = "stall"
    SERVER = "server"


class Fault(Struct, frozen=True):
    """Something that is to go wrong, or that did.

    Attributes:
        victim: from 0 to 1, which worker it meets.
        after: how long that one has been at work by then, in seconds.
        seconds: how long it lasts.
        begin: when it did, in µs of the journals' clock.
        end: likewise.
        journal: the name of the journal of the worker that it met.
    """

    kind: Kind
    victim: float
    after: float
    seconds: float
    begin: int = 0
    end: int = 0
    journal: str | None = None


def plan(numbers: Mapping[Kind, int], lease: float, seed: int) -> list[Fault]:
    """So many faults of each kind, in an order that the seed says."""
    chance = random.Random(seed)  # noqa: S311 -- to be drawn again, and hides nothing
    lengths = {
        Kind.KILL: (0.0, 0.5),
        Kind.PAUSE: (1.5 * lease, 2.0 * lease),
        Kind.CUT: (0.1, 1.0),
        Kind.STALL: (0.1, 1.0),
        Kind.SERVER: (0.0, 0.0),
    }
    kinds = [kind for kind, number in numbers.items() for _ in range(number)]
    chance.shuffle(kinds)
    return [
        Fault(kind, chance.random(), chance.uniform(0, lease * SLOW), chance.uniform(*lengths[kind])) for kind in kinds
    ]


class Nemesis:
    """Carries out a plan: the faults in their order, `AT_ONCE` at a time, each as its share of jobs is pushed.

    A worker is met when it has just been given something: idle, there would be little to lose.

    Args:
        faults: the plan.
        jobs: how many are pushed in all.
        pace: is told how many may be pushed meanwhile.
        fleet: the workers.
        proxy: the network, if it can be troubled.
        restart: kills the server and starts it again, if that is possible.
        struck: called with each fault once it is over.
    """

    def __init__(
        self,
        faults: Sequence[Fault],
        jobs: int,
        pace: Pace,
        fleet: Fleet,
        proxy: Proxy | None,
        restart: Callable[[], object] | None,
        struck: Callable[[Fault], object],
    ) -> None:
        self._faults = faults
        self._jobs = jobs
        self._pace = pace
        self._fleet = fleet
        self._proxy = proxy
        self._restart = restart
        self._struck = struck
        self._line = threading.Lock()  # one trouble at a time for the server and the way to it
        self._over = threading.Event()

    def run(self) -> None:
        """Carry it out, and let the last jobs be pushed."""
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="jobcore-nemesis") as hands:
            try:
                list(hands.map(self._await_and_strike, range(len(self._faults))))
            except BaseException:
                self.stop()
                raise
        self._pace.allow(self._jobs)

    def stop(self) -> None:
        """Have what goes on end now, and nothing more begin."""
        self._over.set()

    def _await_and_strike(self, number: int) -> None:
        share = self._jobs / len(self._faults)
        if not self._pace.wait(round(share * number), PATIENCE_SECONDS):
            raise JobcoreError(f"no job could be pushed for {PATIENCE_SECONDS:.0f} s: does the store answer?")
        fault = self._faults[number]
        if self._over.is_set():
            return
        with self._aim(fault) as worker:
            self._pace.allow(round(share * (number + 1)))
            if worker:
                worker.await_work(_WORK_SECONDS)
                self._over.wait(fault.after)
            begin = now()
            self._strike(fault, worker)
        name = worker.journal.name if worker else None
        self._struck(msgspec.structs.replace(fault, begin=begin, end=now(), journal=name))

    @contextmanager
    def _aim(self, fault: Fault) -> Iterator[Worker | None]:
        """The worker that a fault meets; or none, and the line, which takes one trouble at a time."""
        if fault.kind in {Kind.KILL, Kind.PAUSE}:
            with self._fleet.victim(fault.victim) as worker:
                yield worker
        else:
            with self._line:
                yield None

    def _strike(self, fault: Fault, worker: Worker | None) -> None:
        """Make it happen, for as long as it is to last."""
        if worker and fault.kind is Kind.KILL:
            worker.kill()
            self._over.wait(fault.seconds)
        elif worker:
            worker.send(signal.SIGSTOP)
            self._over.wait(fault.seconds)
            worker.send(signal.SIGCONT)
        elif fault.kind is Kind.SERVER and self._restart:
            self._restart()
        elif self._proxy:
            self._proxy.sever() if fault.kind is Kind.CUT else self._proxy.hold()
            self._over.wait(fault.seconds)
            self._proxy.mend()
