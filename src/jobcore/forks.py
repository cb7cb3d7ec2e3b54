"""Objects that know when they have become a forked child's."""

from __future__ import annotations

import os
from typing import Final, Protocol
from weakref import WeakSet


class Forkable(Protocol):
    """What holds locks, threads or connections, which a forked child must not use."""

    def after_fork(self) -> None:
        """Called in the child, once, before its own code goes on."""
        ...


_ALL: Final[WeakSet[Forkable]] = WeakSet()


def survive_forks(thing: Forkable) -> None:
    """Have `thing.after_fork` called in each forked child for as long as `thing` lives."""
    _ALL.add(thing)


def _after_fork() -> None:
    for thing in list(_ALL):
        thing.after_fork()


os.register_at_fork(after_in_child=_after_fork)
