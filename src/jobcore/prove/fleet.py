"""The worker processes: started, killed, stopped and continued, and replaced."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Final

import msgspec

from jobcore.errors import JobcoreError
from jobcore.prove.worker import GRACE_SECONDS, Orders

_TAIL: Final = 2000
_TICK_SECONDS: Final = 0.002


class Fleet:
    """A number of worker processes, each with a journal of its own, in a folder.

    Args:
        size: how many.
        orders: what they are told; each start has another journal, in the folder of this one's.
    """

    def __init__(self, size: int, orders: Orders) -> None:
        self._orders = orders
        self._folder = Path(orders.journal).parent
        self._log = self._folder / "workers.log"
        self._started = 0
        self._lock = threading.Lock()
        self._idle: list[Worker] = []
        self._all: list[Worker] = []
        for _ in range(size):
            self._start()

    @contextmanager
    def victim(self, draw: float) -> Iterator[Worker]:
        """One that nobody else torments meanwhile; `draw`, from 0 to 1, says which. A dead one is replaced."""
        with self._lock:
            chosen = self._idle.pop(int(draw * len(self._idle)))
        try:
            yield chosen
        finally:
            if chosen.killed:
                self._start()
            else:
                with self._lock:
                    self._idle.append(chosen)

    def check(self) -> None:
        """Raise JobcoreError, with what it said, if one has ended by itself."""
        for worker in list(self._all):
            if worker.ended_by_itself:
                said = self._log.read_bytes()[-_TAIL:].decode(errors="replace")
                raise JobcoreError(f"a worker process ended by itself, with {worker.process.returncode}: {said}")

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
        with self._lock:
            self._started += 1
            path = self._folder / f"worker-{self._started:04}.journal"
            path.touch()
            worker = Worker(msgspec.structs.replace(self._orders, journal=str(path)), self._log)
            self._idle.append(worker)
            self._all.append(worker)


class Worker:
    """One worker process, in a process group of its own: Ctrl-C is its parent's business.

    Attributes:
        journal: its file.
        killed: whether it was killed here.
    """

    def __init__(self, orders: Orders, log: Path) -> None:
        self.journal = Path(orders.journal)
        self.killed = False
        self._tick = threading.Event()
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jobcore.prove.worker"],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                process_group=0,
            )
        self._tell(msgspec.json.encode(orders) + b"\n")

    @property
    def ended_by_itself(self) -> bool:
        """Whether it has ended though nobody here had it end."""
        return not self.killed and self.process.poll() is not None

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; does nothing once it has ended."""
        with suppress(ProcessLookupError):
            self.process.send_signal(number)

    def await_work(self, seconds: float) -> None:
        """Wait until it writes something down, as it does when it was given jobs; for so long at the most."""
        before, until = self.journal.stat().st_size, monotonic() + seconds
        while self.journal.stat().st_size == before and monotonic() < until:
            self._tick.wait(_TICK_SECONDS)

    def kill(self) -> None:
        """End it with SIGKILL, and wait until it is gone."""
        self.killed = True
        self.send(signal.SIGKILL)
        self.await_end(GRACE_SECONDS)

    def await_end(self, seconds: float) -> None:
        """Wait until it has ended, and kill it if it does not."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdin:
            self.process.stdin.close()

    def _tell(self, line: bytes) -> None:
        if self.process.stdin:
            self.process.stdin.write(line)
            self.process.stdin.flush()
