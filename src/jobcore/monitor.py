"""The monitor: looks at intervals for jobs whose worker is gone."""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from jobcore.errors import InvalidArgument
from jobcore.events import Listener, Teller, listeners_of
from jobcore.job import DAY, Seconds, check_seconds
from jobcore.loops import check_positive, every
from jobcore.recovery import Recovery

if TYPE_CHECKING:
    from jobcore.queue import Queue


class Monitor:
    """Takes over jobs whose lease has run out, and decides what becomes of them.

    Any number may run, anywhere; a worker runs one unless told not to. A job goes back to its old place
    while it was lost fewer than `max_lost` times, else it fails as lost; one whose lease ended over
    `abandon_after` ago fails as abandoned. A broken job that its queue can decode again is redriven.

    Args:
        queues: the queues to look after.
        interval: seconds between looks; None: a tenth of the lease.
        abandon_after: seconds.
        lease: seconds for which the monitor holds what it takes over.
        heal: whether broken jobs are redriven.
        on_event: listeners for what it does.
        holder: a text unique to this process's start, under which the store knows what is held.

    Raises:
        InvalidArgument: an argument has no sense; the message says which.
    """

    def __init__(
        self,
        *queues: Queue[Any],
        interval: Seconds | None = None,
        abandon_after: Seconds = DAY,
        lease: Seconds = 120.0,
        heal: bool = True,
        on_event: Sequence[Listener] | Listener = (),
        holder: str | None = None,
    ) -> None:
        if not queues:
            raise InvalidArgument("a monitor needs at least one queue")
        lease = check_positive("lease", lease)
        self._interval = lease / 10 if interval is None else check_positive("interval", interval)
        abandon_after = check_seconds("abandon_after", abandon_after)
        holder = holder or new_holder()
        self._recoveries = [
            Recovery(queue, queue.binding, holder=holder, lease=lease, abandon_after=abandon_after, heal=heal)
            for queue in queues
        ]
        self._teller = Teller(listeners_of(queues, on_event))
        for recovery in self._recoveries:
            recovery.teller = self._teller
        self._stop = threading.Event()

    def run(self) -> None:
        """Look after the queues, at once and then at intervals, until stopped; blocks."""
        try:
            watch(self._recoveries, self._interval, self._stop)
        finally:
            self._teller.close()

    def stop(self) -> None:
        """Have `run` return once its current step is over."""
        self._stop.set()

    def step(self) -> int:
        """Look at each queue once, and return how many jobs were recovered.

        Raises:
            BackendError: the store did not answer as it should; the next step goes on from there.
        """
        return sum(recovery.step() for recovery in self._recoveries)

    def recover(self, holder: str) -> int:
        """Bring back at once what a holder had that is known to be dead; returns how many jobs.

        Raises:
            BackendError: as for `step`.
        """
        return sum(recovery.recover(holder) for recovery in self._recoveries)


def watch(recoveries: Iterable[Recovery], interval: float, stop: threading.Event) -> None:
    """Look after queues, at once and then at intervals, until `stop` is set. One store's trouble is its own."""

    def step() -> None:
        for recovery in recoveries:
            recovery.step_anyway()

    if not stop.is_set():
        step()
    every(interval, step, stop)


def new_holder() -> str:
    """A text that no other start of a process has: host, pid and eight random digits."""
    return f"{socket.gethostname()[:100]}:{os.getpid()}:{secrets.token_hex(4)}"
