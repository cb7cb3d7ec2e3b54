"""What a driver's author gives the suite: a way to open clients of one store, and what the store can be made to do."""

from __future__ import annotations

import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import FrameType
from typing import Any, NamedTuple

from jobcore.backend import Backend, State
from jobcore.conformance.subject import describe
from jobcore.testing import ManualClock


class Look(NamedTuple):
    """What lies in the store of one queue, read past the driver.

    Attributes:
        jobs: each job's state, which of READY and SCHEDULED is READY, and its payload, by its id.
        traces: whatever has the queue's name on it (keys, rows, entries), told by name: none once it is destroyed.
    """

    jobs: dict[str, tuple[State, bytes]]
    traces: list[str]


class Harness(ABC):
    """One store, empty at the start of a test, and the clients that the suite opens of it.

    Only `make` has to be written. Each other hook says what its absence means: a law is then checked in
    another way, and none is left out.

    Attributes:
        clock: the clock that clients are opened with. None: the store's own, and the suite lets real time
            pass, in short units; what happens just before a moment can't be checked then.
        examples: how many histories the state machine tries.
        prompt: whether waiters are woken, rather than look again at intervals (as with `notify=off`). False, or
            a driver without `Wakes`: that idle workers find their jobs is checked, but not how soon.
        name: what the verdict calls the store. None: as the test class is called.
        url: where it can be opened again, by a script that replays what was found. None: no script is told.
    """

    clock: ManualClock | None = None
    examples: int = 30
    prompt: bool = True
    name: str | None = None
    url: str | None = None

    @abstractmethod
    def make(self) -> Backend:
        """Open a client of the store, with `clock` if there is one."""

    def second(self) -> Backend:
        """Open a client that shares nothing with those of `make` but the store. By default `make` does so."""
        return self.make()

    def apart(self) -> Backend | None:
        """Open a client of a store beside this one: another prefix or schema of one server.

        None: that two stores don't touch each other is checked on two queues only.
        """
        return None

    def unclocked(self) -> Backend | None:
        """Open a client that reads the store's own clock, although there is `clock`.

        None: how that clock is read is checked only where there is no `clock`.
        """
        return None if self.clock else self.make()

    def elsewhere(self) -> Callable[[], Backend] | None:
        """Give what opens a client of the store in another process, by the store's own clock: it is sent there.

        None, or what opens another store there: calls at once are made by threads of one process only.
        """
        return None

    def cut(self) -> bool:
        """Cut the connections of all clients, as a network does, whatever they are at; never called twice at once.

        Calls that are under way, or the next ones, then fail with what can be known (`Unavailable`, `Uncertain`), or
        go over a new connection. Returns whether it was done. False: calls and answers are lost in front of the driver.
        """
        return False

    def restart(self) -> bool:
        """Crash the store and start it again, holding all that it had acknowledged. Clients then go on.

        Returns whether it was done. False: all clients are closed, and others opened.
        """
        return False

    def look(self, queue: str) -> Look | None:
        """Read what lies in the store, without the driver.

        None: what was stored is looked at through the driver alone, as it gives it and as it was given.
        """
        return None

    def transaction(self) -> AbstractContextManager[Any] | None:
        """Open a transaction on a connection as the driver's `join` takes it: committed at the end of a `with` block,
        rolled back if that is left by an exception.

        None: pushes within a transaction of the caller's are not tried, though the driver may offer them (`Joins`).
        """
        return None

    def work(self, call: Callable[[], object]) -> int:
        """How much work `call` makes: blocks read, steps taken, commands run, by the store's own count.

        By default, the lines of Python that it runs: this sees a driver's loops and round trips, and nothing
        that a server does by itself, so the verdict on law 12 is then `measured`.
        """
        return count_lines(call)

    def describe(self) -> dict[str, str]:
        """Names and versions of what is tested, for the verdict.

        By default, what is known of the driver's installation, and what a client's own `describe()` says.
        """
        backend = self.make()
        try:
            return describe(backend)
        finally:
            backend.close()

    @property
    def unit(self) -> float:
        """The seconds that the suite counts delays and leases in."""
        return 1.0 if self.clock else 0.1

    def advance(self, seconds: float) -> None:
        """Let time pass for the store."""
        if self.clock:
            self.clock.advance(seconds)
        else:
            threading.Event().wait(seconds)


def count_lines(call: Callable[[], object]) -> int:
    """Make `call`, and count the lines of Python that it runs in this thread."""
    lines = 0

    def trace(_frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return lines
