"""Waiting for jobs: announce it, look, and sleep until a notification or until the next job is due."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from math import inf
from typing import Final

from jobcore.backend import Clock
from jobcore.backends.postgres.database import Database
from jobcore.backends.postgres.listener import Listener
from jobcore.backends.postgres.triggers import Triggers

_LONGEST: Final = 1.0
_SHORTEST: Final = 0.001
_IN_FLIGHT: Final = 0.05
"""Seconds in which a push that began before our announcement, and so can't have seen it, has very likely ended."""

_BARRED: Final = 0.05
"""Seconds for which to leave alone what nobody can claim: who tells of it at once is asked again at once."""


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

    def wait(self, queues: Collection[str], timeout: float, barred: Collection[str] = ()) -> set[str]:
        """See `Wakes.wait`. What is due already in the queues that are `barred` is told of a moment later."""
        self._database.make()
        begun = time.monotonic()
        deadline = begun + min(timeout, _LONGEST)
        pause = inf
        with self._waiter(queues) as waiter:
            while True:
                waiter.called.clear()
                until, fresh = self._look(queues, deadline)
                bar = min(begun + _BARRED, deadline) - time.monotonic()
                until |= {queue: max(bar, seconds) for queue, seconds in until.items() if queue in barred}
                due = {queue for queue, seconds in until.items() if seconds <= 0}
                pause = _SHORTEST if fresh else 2 * pause  # for what is in flight
                nap = min([deadline - time.monotonic(), *until.values(), pause if pause < _IN_FLIGHT else inf])
                if due or nap <= 0:
                    return due
                waiter.called.wait(max(_SHORTEST, nap))
                if waiter.notified or time.monotonic() >= deadline:
                    return waiter.notified

    @contextmanager
    def _waiter(self, queues: Collection[str]) -> Iterator[Waiter]:
        waiter = Waiter(queues)
        self._waiters.add(waiter)
        try:
            yield waiter
        finally:
            self._waiters.discard(waiter)

    def _look(self, queues: Collection[str], deadline: float) -> tuple[dict[str, float], bool]:
        """Seconds until the first job is due, of each queue that has any; and whether no push could notify till now."""
        heard = self.notify and self._listener.listens(max(0.0, deadline - time.monotonic()))
        if heard:
            self._triggers.look()
        found = self._database.run("wait", {"queues": sorted(queues), "announce": heard})
        until = {queue: until / 1_000_000 for queue, until, _ in found if until is not None}
        return until, any(fresh for _, _, fresh in found)

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
