"""The worker processes: started, killed, stopped and continued, and replaced."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import entry_points
from itertools import count
from multiprocessing import forkserver, resource_tracker
from pathlib import Path
from time import monotonic
from typing import Final

import msgspec

from jobcore.connect import GROUP
from jobcore.errors import JobcoreError
from jobcore.prove.worker import GRACE_SECONDS, Orders, work

_TAIL: Final = 2000
_TICK_SECONDS: Final = 0.002


class Fleet:
    """A number of worker processes, each with a journal of its own, in a folder.

    Args:
        size: how many.
        orders: what they are told; each start has a journal of its own, in the folder of the log.
    """

    def __init__(self, size: int, orders: Orders) -> None:
        self._orders = orders
        self._log = Path(orders.log)
        self._number = count(1)
        self._changed = threading.Condition()
        self._alone: list[Worker] = []  # nobody torments them
        self._all: list[Worker] = []
        _start_server()
        for _ in range(size):
            self._start()

    @contextmanager
    def victim(self, draw: float) -> Iterator[Worker]:
        """One that nobody else torments meanwhile; `draw`, from 0 to 1, says which. A dead one is replaced."""
        with self._changed:
            self._changed.wait_for(lambda: self._alone)
            chosen = self._alone.pop(int(draw * len(self._alone)))
        try:
            yield chosen
        finally:
            if chosen.killed:
                self._start()
            else:
                self._leave_alone(chosen)

    def check(self) -> None:
        """Raise JobcoreError, with what it said, if one has ended by itself."""
        for worker in list(self._all):
            code = worker.ended_by_itself
            if code is not None:
                said = self._log.read_bytes()[-_TAIL:].decode(errors="replace") if self._log.exists() else ""
                raise JobcoreError(f"a worker process ended by itself, with {code}: {said}")

    def stop(self) -> None:
        """Have all finish what they do, and leave; whoever does not is killed."""
        for worker in self._all:
            worker.send(signal.SIGCONT)
            worker.send(signal.SIGTERM)
        for worker in self._all:
            worker.await_end(GRACE_SECONDS * 2)

    def kill(self) -> None:
        """End all at once."""
        for worker in self._all:
            worker.kill()

    def _start(self) -> None:
        path = self._log.parent / f"worker-{next(self._number):04}.journal"
        path.touch()
        worker = Worker(msgspec.structs.replace(self._orders, journal=str(path)))
        self._all.append(worker)
        self._leave_alone(worker)

    def _leave_alone(self, worker: Worker) -> None:
        with self._changed:
            self._alone.append(worker)
            self._changed.notify()


class Worker:
    """One worker process, forked off a process that has loaded all there is to load: so that it is there at once.

    Attributes:
        journal: its file.
        killed: whether it was killed here.
    """

    def __init__(self, orders: Orders) -> None:
        self.journal = Path(orders.journal)
        self.killed = False
        self._tick = threading.Event()
        self._process = _context.Process(target=work, args=(orders,), daemon=True)
        self._process.start()

    @property
    def ended_by_itself(self) -> int | None:
        """Its exit code, if it has ended though nobody here had it end."""
        return None if self.killed else self._process.exitcode

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; does nothing once it has ended."""
        if self._process.pid and self._process.is_alive():
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, number)

    def await_work(self, seconds: float) -> None:
        """Wait until it writes something down, as it does when it was given jobs; for so long at the most."""
        before, until = self.journal.stat().st_size, monotonic() + seconds
        while self.journal.stat().st_size == before and monotonic() < until:
            self._tick.wait(_TICK_SECONDS)

    def kill(self) -> None:
        """End it with SIGKILL, and wait until it is gone."""
        self.killed = True
        self._process.kill()
        self._process.join()

    def await_end(self, seconds: float) -> None:
        """Wait until it has ended, and kill it if it does not."""
        self._process.join(seconds)
        self._process.kill()
        self._process.join()


def _drivers() -> list[str]:
    """The modules of all drivers that are installed."""
    return [found.module for found in entry_points(group=GROUP)]


def _start_server() -> None:
    """Start what workers are forked off, out of reach of a terminal's Ctrl-C, which is the parent's business."""
    resource_tracker.ensure_running()  # first, as it lets through what is blocked
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_context: Final = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["jobcore.prove.worker", *_drivers()])
