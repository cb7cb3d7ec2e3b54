"""SQLite and fork: no connection is open while the process forks.

A child must not use its parent's connections, nor close them. That is not enough: SQLite keeps one record of locks
per file and process, and a child inherits it with its memory. While it lies there, a connection that the child opens
believes that it has locks which only its parent has; when the parent then closes, it takes itself for the last one
and deletes the write-ahead log under the child, with all that the child commits from then on. So the parent closes
its connections just before it forks, as soon as no statement is running; both sides open new ones when they need them.
"""

from __future__ import annotations

import os
import threading
from typing import Final, Protocol
from weakref import WeakSet

_PATIENCE: Final = 60.0
"""Seconds after which a fork no longer waits for statements to end; they end in far less, unless a disk hangs."""


class Forkable(Protocol):
    """What has connections open."""

    def disconnect(self) -> None:
        """Close them all, before a fork; new ones are opened when there is need."""
        ...

    def begin_anew(self) -> None:
        """In the child: make new locks and threads, and forget what the parent's threads were at."""
        ...


class Gate:
    """Lets statements run together (`with GATE:`), and forks between them."""

    def __init__(self) -> None:
        self._things: WeakSet[Forkable] = WeakSet()
        self._left = threading.Condition(threading.Lock())
        self._inside, self._forking = 0, False

    def add(self, thing: Forkable) -> None:
        """Have `thing` told of forks for as long as it lives."""
        with self._left:
            self._things.add(thing)

    def __enter__(self) -> None:
        """Go in, and keep forks away."""
        with self._left:
            while self._forking:
                self._left.wait()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        """Leave."""
        with self._left:
            self._inside -= 1
            if self._forking:
                self._left.notify_all()

    def before(self) -> None:
        """Shut the gate when all have left, and close what is open."""
        self._left.acquire()
        self._forking = True
        self._left.wait_for(lambda: self._inside == 0, _PATIENCE)
        for thing in self._things:
            thing.disconnect()

    def after_in_parent(self) -> None:
        """Open the gate."""
        self._forking = False
        self._left.notify_all()
        self._left.release()

    def after_in_child(self) -> None:
        """Open it for the one thread that there is."""
        self._left = threading.Condition(threading.Lock())
        self._inside, self._forking = 0, False
        for thing in self._things:
            thing.begin_anew()


GATE: Final = Gate()

os.register_at_fork(before=GATE.before, after_in_parent=GATE.after_in_parent, after_in_child=GATE.after_in_child)
