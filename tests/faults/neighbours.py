"""What the tests of bad neighbours share: a worker, and what it and those who enqueue are to see of a trouble."""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from core.loops import Told, eventually, running

from jobcore import Queue, Worker
from jobcore.events import Kind

WITHIN = 60.0
"""Seconds after which a test gives up: a busy machine's servers take their time."""

NAME = "store.test"
"""A host that `names` knows."""


class Served:
    """A queue that a worker serves, and a job that it is at."""

    def __init__(self, queue: Queue[None], told: Told) -> None:
        self.queue = queue
        self.told = told
        self.ran: list[str] = []
        self.go = threading.Event()
        self.note = queue.job(self._note, name="note")
        self.held = queue.enqueue(self.note.job("held"))
        eventually(lambda: self.ran == ["held"], within=WITHIN)

    def _note(self, word: str) -> None:
        self.ran.append(word)
        if word == "held":
            self.go.wait(WITHIN)

    def goes_through(
        self, trouble: AbstractContextManager[Any], raised: type[Exception] | tuple[type[Exception], ...], says: str
    ) -> None:
        """In a trouble all are told what is known, and workers wait; then they go on, and nothing is run twice."""
        with trouble:
            self.go.set()
            eventually(lambda: self.away(says), within=WITHIN)  # by then connections that were cut are known to be
            with pytest.raises(raised, match=says):
                self.queue.enqueue(self.note.job("new"), id="new")
        eventually(lambda: self.settled(self.held), within=WITHIN)
        self.queue.enqueue(self.note.job("new"), id="new")
        eventually(lambda: self.settled("new"), within=WITHIN)
        assert self.ran == ["held", "new"]

    def away(self, says: str) -> bool:
        """Whether the worker has told that its store is away, for this reason."""
        return any(says in event.reason for event in self.told.of(Kind.AWAY))

    def settled(self, id: str) -> bool:
        """Whether a job has succeeded, at its first attempt and with no lease lost."""
        entry = self.queue.find(id)
        return entry is not None and (entry.state, entry.attempt, entry.lost) == ("succeeded", 1, 0)


@contextmanager
def served(backend: Any) -> Iterator[Served]:
    """Serve a new queue on a store, given by URL or opened."""
    queue: Queue[None] = Queue(f"neighbours-{secrets.token_hex(4)}", backend, keep_succeeded=10)
    told = Told()
    with running(Worker(queue, monitor=False, lease=600, poll_interval=1, grace=0, on_event=told)):
        yield Served(queue, told)
    queue.close()


class Names:
    """A resolver that knows one name: where it leads, or what happens to who asks for it."""

    def __init__(self, answer: Callable[[], tuple[str, int]]) -> None:
        self.answer = answer
        self._real = socket.getaddrinfo

    def __call__(self, host: Any, port: Any, *args: Any, **named: Any) -> Any:
        return self._real(*(self.answer() if host == NAME else (host, port)), *args, **named)

    @contextmanager
    def answering(self, answer: Callable[[], tuple[str, int]]) -> Iterator[None]:
        """Answer like this for as long as a block lasts."""
        before, self.answer = self.answer, answer
        try:
            yield
        finally:
            self.answer = before


def unknown() -> tuple[str, int]:
    """What a resolver that can't reach its servers says."""
    raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
