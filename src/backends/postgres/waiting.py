"""Waiting for jobs: announce it, look, and sleep until a notification or until the next job is due."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Final

from jobcore.backend import Clock
from jobcore.backends.postgres.database import Database
from jobcore.backends.postgres.listener import Listener
from jobcore.backends.postgres.triggers import Triggers

_LONGEST: Final = 1.0
_SHORTEST: Final = 0.001
_IN_FLIGHT: Final = 0.05
"""Seconds after which a push that began before our announcement, and so can't have seen it, has very likely ended."""


class Waiter:
    """One call that waits: for which queues, and what it was told."""

    def __init__(self, queues: Collection[str]) -> None:
        self.queues = frozenset(queues)
        self.notified = set[str]()
        self.called = threading.Event()


class Waiting:
    """The calls of one client that wait; they share one listening connection.

    Nothing is queued for them: what a notification leaves behind is a queue's name in the set of each call that waits
    for it, so the listener never blocks, and who is busy hears nothing.
    """

    def __init__(self, database: Database, clock: Clock | None, *, notify: bool, check_triggers: float) -> None:
        self.notify = notify
        self._check_triggers = check_triggers
        self._database = database
        self.after_fork()
        if clock:
            clock.watch(self._call_all)

    def after_fork(self) -> None:
        """Begin, or begin anew in a forked child."""
        self._waiters = set[Waiter]()
        channel = self._database.statements.channel
        self._triggers = Triggers(self._database, self._check_triggers)
        self._listener = Listener(self._database.connections, channel, self._tell, self._heard_nothing)

    def close(self) -> None:
        """End the listening, and the calls that wait: they look once more, and find the connections closed."""
        self._call_all()
        self._listener.stop()

    def wait(self, queues: Collection[str], timeout: float) -> set[str]:
        """See `Wakes.wait`."""
        self._database.make()
        deadline = time.monotonic() + min(timeout, _LONGEST)
        with self._waiter(queues) as waiter:
            while True:
                waiter.called.clear()
                fresh = self._announce(queues, deadline)
                until = self._look(queues)
                due = {queue for queue, seconds in until.items() if seconds <= 0}
                left = deadline - time.monotonic()
                if due or left <= 0:
                    return due
                nap = min([left, *until.values(), _IN_FLIGHT if fresh else _LONGEST])
                waiter.called.wait(max(_SHORTEST, nap))
                if waiter.notified:
                    return waiter.notified

    @contextmanager
    def _waiter(self, queues: Collection[str]) -> Iterator[Waiter]:
        waiter = Waiter(queues)
        self._waiters.add(waiter)
        try:
            yield waiter
        finally:
            self._waiters.discard(waiter)

    def _announce(self, queues: Collection[str], deadline: float) -> bool:
        """Have pushes to these queues notify; whether any of them did not till now."""
        if not self.notify or not self._listener.listens(max(0.0, deadline - time.monotonic())):
            return False
        self._triggers.look()
        return bool(self._database.run("sleep", {"queues": sorted(queues)}))

    def _look(self, queues: Collection[str]) -> dict[str, float]:
        """Seconds until the first job is due, of each queue that has any."""
        found = self._database.run("due", {"queues": sorted(queues)})
        return {queue: until / 1_000_000 for queue, until in found}

    def _tell(self, queue: str) -> None:
        for waiter in list(self._waiters):
            if queue in waiter.queues:
                waiter.notified.add(queue)
                waiter.called.set()

    def _heard_nothing(self) -> None:
        """After a time of deafness: anything may have been missed, and the server may be another one."""
        self._triggers.doubt()
        self._call_all()

    def _call_all(self) -> None:
        """Have all look again."""
        for waiter in list(self._waiters):
            waiter.called.set()
