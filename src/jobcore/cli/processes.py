"""`--processes N`: a parent that keeps N workers alive, and brings back at once what a dead one held."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from math import inf
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Final

from jobcore.cli import signals
from jobcore.cli.child import Child
from jobcore.cli.exits import ExitCode
from jobcore.cli.pulse import patience

AT_ONCE: Final = 5.0
"""A process that lived for fewer seconds died at once: if that goes on, its successors wait."""

LONGEST_PAUSE: Final = 30.0
WORKED_PAUSE: Final = 1.0
"""The same after a process that had begun to work: it died of a job, which `max_lost` ends, and others wait."""

SALVAGE_SECONDS: Final = 5.0
"""How long a parent that leaves tries to bring back what its dead held."""

STOPS: Final = (
    (signal.SIGTERM, signals.IN_ORDER),
    (signal.SIGINT, signals.AT_ONCE),  # a worker takes both alike, and two of one number could arrive as one
    (signal.SIGKILL, "killing what is left"),
)
"""What children are sent at the first, the second and any further signal to stop."""

_SILENT: Final = (
    "process %d has given no sign of life for %.0f s; it ran %s. One that is stopped, or whose job holds the "
    "interpreter's lock, can't renew its leases: they end after %g s, and then its jobs run elsewhere as well"
)

_log: Final = logging.getLogger("jobcore.processes")


def pause(deaths: int, longest: float = LONGEST_PAUSE) -> float:
    """Seconds before a process is started again, after so many deaths at once in a row."""
    return 0.0 if deaths < 2 else min(longest, 0.25 * 2.0 ** min(deaths, 10))


class Place:
    """One of the N: the child that fills it, or when the next one is due."""

    def __init__(self) -> None:
        self.child: Child | None = None
        self.due: float | None = 0.0
        self.deaths = 0

    def vacate(self, code: int, *, again: bool) -> Child:
        """Its child has ended with `code`; have another started in time, if `again`. Returns the dead one."""
        if self.child is None:
            raise ValueError("nobody was here")
        dead, self.child = self.child, None
        self.deaths = self.deaths + 1 if code and dead.age < AT_ONCE else 0
        longest = WORKED_PAUSE if dead.heard.anything else LONGEST_PAUSE
        self.due = monotonic() + pause(self.deaths, longest) if again else None
        return dead


class Salvage:
    """Brings back what dead processes held, one after another; a store that is away is tried again.

    Args:
        recover: takes a holder that is known to be dead, and returns how many jobs it held.
    """

    def __init__(self, recover: Callable[[str], int]) -> None:
        self._recover = recover
        self._dead: SimpleQueue[str | None] = SimpleQueue()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="jobcore-salvage", daemon=True)
        self._thread.start()

    def add(self, holder: str) -> None:
        """A holder has died."""
        self._dead.put(holder)

    def close(self, timeout: float) -> None:
        """Finish, for up to `timeout` seconds; what is not brought back by then is left to its lease."""
        self._dead.put(None)
        self._thread.join(timeout)
        self._closed.set()

    def _run(self) -> None:
        while (holder := self._dead.get()) is not None:
            self._bring_back(holder)

    def _bring_back(self, holder: str) -> None:
        tries = 0
        while not self._closed.wait(pause(tries)):
            try:
                recovered = self._recover(holder)
            except Exception as error:  # noqa: BLE001 -- whatever a client library raises, it is tried again
                tries += 1
                _log.warning("the jobs of %s can't be brought back yet: %s", holder, error)
            else:
                _log.log(logging.WARNING if recovered else logging.DEBUG, "%s held jobs: %d", holder, recovered)
                return


class Pool:
    """Keeps a number of worker processes alive until it is told to stop, or they have nothing left to do.

    Args:
        count: how many.
        command: what a worker process is started with.
        environment: likewise.
        salvage: is told of each holder that has died.
        lease: seconds; a process that has given no sign of life for a quarter of it is told of.
        until_empty: a process that ends by itself is not replaced; one that is killed, or stuck, still is.
    """

    def __init__(
        self,
        count: int,
        command: Sequence[str],
        environment: Mapping[str, str],
        salvage: Salvage,
        *,
        lease: float,
        until_empty: bool = False,
    ) -> None:
        self._command = command
        self._environment = environment
        self._salvage = salvage
        self._lease = lease
        self._until_empty = until_empty
        self._places = [Place() for _ in range(count)]
        self._news: SimpleQueue[tuple[Place, int] | None] = SimpleQueue()
        self._signals = 0
        self._code = 0

    def run(self) -> int:
        """Start the processes, and return an exit code once all have ended for good; blocks.

        The first SIGTERM or SIGINT stops them gracefully, the second at once, the third kills them.
        """
        with signals.on_stop_signals(lambda: self._news.put(None)):
            while any(place.child or place.due is not None for place in self._places):
                self._fill()
                self._await_news()
                self._tell_silence()
        self._salvage.close(SALVAGE_SECONDS)
        return self._code

    def _fill(self) -> None:
        now = monotonic()
        for place in self._places:
            if place.due is not None and place.due <= now:
                place.due = None
                place.child = self._start(place)

    def _start(self, place: Place) -> Child:
        child = Child(self._command, self._environment, lambda code: self._news.put((place, code)))
        _log.info("started process %d, which holds its jobs as %s", child.pid, child.holder)
        return child

    def _await_news(self) -> None:
        due = min((place.due for place in self._places if place.due is not None), default=inf)
        try:
            news = self._news.get(timeout=max(0.0, min(due - monotonic(), signals.LOOK_UP)))
        except Empty:
            return
        if news is None:
            self._stop()
        else:
            self._bury(*news)

    def _tell_silence(self) -> None:
        for child in (place.child for place in self._places if place.child):
            match child.heard.silence(patience(self._lease)):
                case (True, seconds):
                    running = "; ".join(child.heard.running) or "nothing that had been heard of"
                    _log.warning(_SILENT, child.pid, seconds, running, self._lease)
                case (False, seconds):
                    _log.warning("process %d goes on after %.0f s", child.pid, seconds)

    def _stop(self) -> None:
        number, said = STOPS[min(self._signals, len(STOPS) - 1)]
        self._signals += 1
        _log.info("%s", said)
        for place in self._places:
            place.due = None
            if place.child is not None:
                place.child.send(number)

    def _bury(self, place: Place, code: int) -> None:
        again = self._is_replaced(code)
        dead = place.vacate(code, again=again)
        self._salvage.add(dead.holder)
        if not again:
            self._code = max(self._code, code)
        level = logging.INFO if code == 0 else logging.ERROR
        _log.log(level, "process %d %s%s", dead.pid, _ending(code), ", another takes its place" if again else "")

    def _is_replaced(self, code: int) -> bool:
        if self._signals:
            return False
        return not self._until_empty or code < 0 or code == ExitCode.STUCK


def _ending(code: int) -> str:
    """How a process ended, in words."""
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return "ended" if code == 0 else f"failed with exit code {code}"
