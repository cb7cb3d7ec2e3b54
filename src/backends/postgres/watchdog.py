"""A bound on every call, whatever the network and the server do."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias

import psycopg

Watched: TypeAlias = psycopg.Connection[Any]


class Watchdog:
    """Cuts off connections whose call takes longer than `timeout` seconds by an eighth to a quarter.

    The server's own statement timeout comes first, where it can be set, as what it ends is known to be undone; this is
    for a server that is stopped, a network that swallows what is sent, and sessions that a pooler lends.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._deadlines: dict[Watched, float] = {}
        self._stopped = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextmanager
    def over(self, connection: Watched) -> Iterator[None]:
        """Watch over a call on `connection`."""
        try:
            self.watch(connection)
            yield
        finally:
            self.leave(connection)

    def watch(self, connection: Watched) -> None:
        """Watch over a call that begins now."""
        if self._thread is None:
            self._start()
        self._deadlines[connection] = time.monotonic() + self._timeout * 1.125

    def leave(self, connection: Watched) -> None:
        """The call has ended."""
        self._deadlines.pop(connection, None)

    def stop(self) -> None:
        """Watch no more."""
        self._stopped.set()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                thread = threading.Thread(target=self._watch, name="jobcore-postgres-watchdog", daemon=True)
                thread.start()  # which may fail: then the next call tries again
                self._thread = thread

    def _watch(self) -> None:
        while not self._stopped.wait(self._timeout / 8):
            now = time.monotonic()
            for connection, deadline in list(self._deadlines.items()):
                if deadline < now:
                    cut_off(connection)


def cut_off(connection: Watched) -> None:
    """Have whoever reads from `connection` find it ended. Its descriptor stays its owner's to close."""
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)
