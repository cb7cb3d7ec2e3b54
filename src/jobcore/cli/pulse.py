"""Signs of life of a worker process: for its parent to miss, and for a watchdog that needs no Python to run.

A job that holds the interpreter's lock (in C, or in one endless operation of Python's own) stops every thread of its
process, also the one that renews leases. Only who is outside can tell: the parent under `--processes`, and
`faulthandler`'s watchdog, a thread in C, which writes to stderr where each thread of the process stands.
"""

from __future__ import annotations

import faulthandler
import io
import os
import socket
import sys
import threading
from contextlib import suppress
from time import monotonic
from typing import Final

import msgspec

from jobcore.cli.held import named
from jobcore.loops import every
from jobcore.worker import Worker

_LONGEST: Final = 1.0
"""Seconds between signs of life at the most: what runs is known to the parent so well."""


def patience(lease: float) -> float:
    """Seconds without a sign of life after which it is told: a quarter of a lease (seconds), while a third is left."""
    return lease / 4


class Pulse:
    """Gives signs of life from a thread of its own.

    Args:
        worker: whose jobs a sign names.
        lease: seconds.
        parent: the socket to the parent; None: there is no parent.
    """

    def __init__(self, worker: Worker, lease: float, parent: int | None) -> None:
        self._worker = worker
        self._parent = None if parent is None else socket.socket(fileno=os.dup(parent))
        self._rest = b""
        self._patience = patience(lease)
        self._interval = min(self._patience / 3, _LONGEST)
        self._stop = threading.Event()

    def start(self) -> None:
        """Begin, with a sign at once: a job may soon end the process, and the parent is to know that it had begun."""
        self.beat()
        arguments = self._interval, self.beat, self._stop
        threading.Thread(target=every, args=arguments, name="jobcore-pulse", daemon=True).start()

    def stop(self) -> None:
        """End, and call the watchdog off."""
        self._stop.set()
        faulthandler.cancel_dump_traceback_later()
        if self._parent is not None:
            self._parent.close()

    def beat(self) -> None:
        """One sign of life."""
        with suppress(AttributeError, OSError, io.UnsupportedOperation):  # stderr may be no file: then none is written
            faulthandler.dump_traceback_later(self._patience, file=sys.stderr)
        if self._parent is not None:
            with suppress(OSError):  # the parent is gone, which another thread sees to, or stands still
                self._tell(self._parent)

    def _tell(self, parent: socket.socket) -> None:
        """Send the parent a sign, or the rest of the last one. Where it reads nothing, that one is dropped."""
        line = self._rest or msgspec.json.encode(named(self._worker.running())) + b"\n"
        self._rest = line[parent.send(line, socket.MSG_DONTWAIT) :]


class Listening:
    """What a parent has heard of a child.

    Attributes:
        running: what the child ran when it was last heard, in words.
    """

    def __init__(self) -> None:
        self.running: list[str] = []
        self._heard: float | None = None
        self._silent_since: float | None = None

    @property
    def anything(self) -> bool:
        """Whether the child has begun to work."""
        return self._heard is not None

    def hear(self, line: bytes) -> None:
        """A sign of life."""
        self.running, self._heard = msgspec.json.decode(line, type=list[str]), monotonic()

    def silence(self, patience: float) -> tuple[bool, float] | None:
        """Whether it has just fallen silent (True) or come back (False), and for how many seconds; else None."""
        if self._heard is None:  # it has not begun to work yet
            return None
        seconds = monotonic() - self._heard
        if seconds > patience and self._silent_since is None:
            self._silent_since = self._heard
            return True, seconds
        if seconds <= patience and self._silent_since is not None:
            seconds, self._silent_since = self._heard - self._silent_since, None
            return False, seconds
        return None
