"""The connection that hears notifications, and the thread that reads it."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from typing import Final

import psycopg

from jobcore.backend import Unavailable
from jobcore.backends.postgres.connections import Connection, Connections
from jobcore.backends.postgres.watchdog import cut_off

_log: Final = logging.getLogger("jobcore")

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 10.0


class Listener:
    """Tells of each notification on a channel; connects anew, with growing pauses, when the connection is lost.

    Args:
        connections: opens the one that is listened on.
        channel: its name.
        tell: called with what a notification says.
        lost: called after each time of deafness, when anything may have been missed.
    """

    def __init__(
        self, connections: Connections, channel: str, tell: Callable[[str], None], lost: Callable[[], None]
    ) -> None:
        self._connections = connections
        self._channel = channel
        self._tell = tell
        self._lost = lost
        self._stopped = threading.Event()
        self._listening = threading.Event()
        self._connection: Connection | None = None
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def listens(self, patience: float) -> bool:
        """Whether notifications are heard now, or within `patience` seconds. Starts the thread."""
        with self._starting:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="jobcore-postgres-listener", daemon=True)
                thread.start()  # which may fail: then the next call tries again
                self._thread = thread
        return self._listening.wait(patience)

    def stop(self) -> None:
        """Listen no more."""
        self._stopped.set()
        if self._connection is not None:
            cut_off(self._connection)
        if self._thread is not None:
            self._thread.join(_LONGEST_PAUSE)

    def _run(self) -> None:
        pause = _FIRST_PAUSE
        while not self._stopped.is_set():
            try:
                self._listen()
            except (Unavailable, psycopg.Error):
                pass  # the verbs meet the same, and their callers tell of it
            except Exception:  # noqa: BLE001 -- whatever a client library raises, who waits is to be woken again
                _log.exception("an unforeseen error of the listener, which connects anew")
            if self._listening.is_set():
                self._listening.clear()
                pause = _FIRST_PAUSE
            self._stopped.wait(pause * random.uniform(0.5, 1))  # noqa: S311 -- spreads retries, hides nothing
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _listen(self) -> None:
        with self._connections.open() as connection:
            self._connection = connection
            with self._connections.over(connection):
                connection.execute(f'LISTEN "{self._channel}"'.encode())
            self._listening.set()
            self._lost()
            while not self._stopped.is_set():
                for notification in connection.notifies(timeout=1.0):
                    self._tell(notification.payload)
