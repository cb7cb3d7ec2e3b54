"""A harness for any store that has a URL."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast

from jobcore.backend import Backend, Counts, SystemClock
from jobcore.conformance.harness import Harness
from jobcore.conformance.subject import describe
from jobcore.connect import open_backend, takes_clock
from jobcore.testing import ManualClock

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,200}", re.ASCII)
_OWN_CLOCK: Final = "the store's own: what holds just before a time was not checked"


class UrlHarness(Harness):
    """The store of a URL, where opening twice means two clients of one store.

    It works on queues that were empty, and destroys them afterwards. Drivers that take a clock are given one;
    with others, real time has to pass.

    Args:
        url: where the store is.
        clock: what an earlier harness of it had, whose time this one goes on from: no store sees time go back.
    """

    examples = 20

    def __init__(self, url: str, clock: ManualClock | None = None) -> None:
        self.name = self.url = shown(url)
        self._url = url
        self._used = _Used()
        backend = open_backend(url)
        self.prompt = not getattr(backend, "polls", False)
        backend.close()
        if takes_clock(url):
            self.clock = ManualClock(max(clock.now() if clock else 0, SystemClock().now()))

    def make(self) -> Backend:
        """Open the URL."""
        return self._guarded(open_backend(self._url, clock=self.clock))

    def unclocked(self) -> Backend:
        """Open it as its users do."""
        return self._guarded(open_backend(self._url))

    def elsewhere(self) -> Callable[[], Backend]:
        """Open the URL there. A store in memory is another one then."""
        return partial(open_backend, self._url)

    def describe(self) -> dict[str, str]:
        """What the backend itself says."""
        backend = open_backend(self._url)
        try:
            return describe(backend) | {"clock": "the suite's" if self.clock else _OWN_CLOCK}
        finally:
            backend.close()

    def close(self) -> None:
        """Destroy the queues that were used."""
        backend = open_backend(self._url)
        for queue in self._used.queues:
            backend.destroy(queue)
        backend.close()

    def _guarded(self, backend: Backend) -> Backend:
        return cast("Backend", _Guard(backend, self._used))


class _Used:
    """The queues that one test has used, from any of its threads."""

    def __init__(self) -> None:
        self.queues: set[str] = set()
        self._lock = threading.Lock()

    def enter(self, queue: str, backend: Backend) -> None:
        """Use a queue that is empty, or that is used already."""
        if queue in self.queues:  # without the lock: in a forked child, whoever held it is not there to let go
            return
        with self._lock:  # a thread must not take for a stranger's what another has just pushed
            if queue not in self.queues and _NAME.fullmatch(str(queue)):
                assert backend.counts(queue) == Counts(), f"the queue {queue!r} is in use: give a scratch store"
                self.queues.add(queue)


class _Guard:
    """A backend that keeps its hands off queues which hold somebody's jobs, and notes those that it used.

    What the backend offers it has as attributes of its own: only those tell `isinstance` of abilities (Python 3.12).
    """

    def __init__(self, backend: Backend, used: _Used) -> None:
        self._backend = backend
        self._used = used
        for name in dir(backend):
            if not name.startswith("_"):
                verb = getattr(backend, name)
                setattr(self, name, self._guarded(verb, _QUEUE_AT[name]) if name in _QUEUE_AT else verb)

    def _guarded(self, verb: Callable[..., Any], place: int) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            queue = arguments[place] if len(arguments) > place else options["queue"]
            self._used.enter(queue, self._backend)
            return verb(*arguments, **options)

        return call


_VERBS: Final = "push claim reclaim extend settle peek get counts redrive remove destroy transact"
_QUEUE_AT: Final = dict.fromkeys(_VERBS.split(), 0) | {"join": 1, "ajoin": 1}
"""Where verbs take their queue: behind the connection, where one is joined."""


def shown(url: str) -> str:
    """A URL as it may be shown: without user, password and options."""
    scheme, colon, rest = url.partition("://")
    return scheme + colon + rest.partition("?")[0].rpartition("@")[2]
