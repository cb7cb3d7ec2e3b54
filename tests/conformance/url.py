"""A harness for any store that has a URL. It has no clock in hand, so it takes its time."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any, Final

from jobcore.backend import Backend, Counts, Wakes
from jobcore.conformance.harness import Harness
from jobcore.connect import open_backend

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,200}", re.ASCII)


class UrlHarness(Harness):
    """The store of a URL, where opening twice means two clients of one store.

    It works on queues that were empty, and destroys them afterwards.
    """

    examples = 20

    def __init__(self, url: str) -> None:
        self._url = url
        self._queues: set[str] = set()

    def make(self) -> Backend:
        """Open the URL."""
        backend = open_backend(self._url)
        kind = _WakingGuard if isinstance(backend, Wakes) else _Guard
        return kind(backend, self._queues)

    def close(self) -> None:
        """Destroy the queues that were used."""
        backend = open_backend(self._url)
        for queue in self._queues:
            backend.destroy(queue)
        backend.close()


class _Guard:
    """A backend that keeps its hands off queues which hold somebody's jobs, and notes those that it used."""

    def __init__(self, backend: Backend, used: set[str]) -> None:
        self._backend = backend
        self._used = used

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._backend, name)
        return verb if name == "close" else self._guarded(verb)

    def _guarded(self, verb: Callable[..., Any]) -> Callable[..., Any]:
        def call(queue: str, *arguments: Any, **options: Any) -> Any:
            self._enter(queue)
            return verb(queue, *arguments, **options)

        return call

    def _enter(self, queue: str) -> None:
        if queue not in self._used and _NAME.fullmatch(str(queue)):
            assert self._backend.counts(queue) == Counts(), f"the queue {queue!r} is in use: give a scratch store"
            self._used.add(queue)


class _WakingGuard(_Guard):
    def wait(self, queues: Collection[str], timeout: float) -> set[str]:
        backend: Any = self._backend
        woken: set[str] = backend.wait(queues, timeout)
        return woken
