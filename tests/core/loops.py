"""What the tests of the loops share: a backend that fails on order, a store's clock, and waiting with a bound."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Any

import pytest

from jobcore.backend import State, Unavailable, Uncertain
from jobcore.backends.memory import MemoryBackend
from jobcore.events import Event, Kind
from jobcore.queue import Queue
from jobcore.worker import Worker

BOUND = 10.0
"""Seconds after which a test gives up waiting for what must happen."""


def eventually(condition: Callable[[], object], *, within: float = BOUND, every: float = 0.001) -> None:
    """Look every so often until `condition` holds, and fail if it doesn't come to that."""
    tick, deadline = threading.Event(), monotonic() + within
    while not condition():
        assert monotonic() < deadline, "it did not come to that"
        tick.wait(every)


def threads() -> list[str]:
    """The names of jobcore's threads that live; not those that async callers enqueue by, which go with their queue."""
    names = (each.name for each in threading.enumerate())
    return sorted(name for name in names if name.startswith("jobcore") and not name.startswith("jobcore-enqueue"))


@contextmanager
def running(worker: Worker, **options: Any) -> Iterator[threading.Thread]:
    """Run a worker on a thread; at the end stop it (at once, if the test has failed), and see that it ends."""
    thread = threading.Thread(target=worker.run, kwargs=options, name="test-worker")
    thread.start()
    try:
        yield thread
    except BaseException:
        worker.stop(now=True)
        raise
    finally:
        worker.stop()
        thread.join(BOUND)
        assert not thread.is_alive()


class Told(list[Event]):
    """A listener that keeps what it hears."""

    def __call__(self, events: Sequence[Event]) -> None:
        self.extend(events)

    def of(self, *kinds: Kind) -> list[Event]:
        return [event for event in self if event.kind in kinds]

    def kinds(self, id: str | None = None) -> list[Kind]:
        return [event.kind for event in self if id is None or event.id == id]


class Faulty:
    """A memory backend whose calls are counted, and fail or lose their answers on order.

    `fail("settle", error)` has the next settle not carried out; `lose("settle")` has it carried out, and its
    answer lost. `away` has every call fail until it is set back.
    """

    def __init__(self, inner: MemoryBackend | None = None) -> None:
        self.inner = inner or MemoryBackend()
        self.calls: Counter[str] = Counter()
        self.sent: list[tuple[str, tuple[Any, ...]]] = []
        self.away = False
        self.after: Callable[[str], None] = lambda verb: None
        self._orders: dict[str, deque[tuple[bool, Exception]]] = {}

    def fail(self, verb: str, error: Exception | None = None, *, times: int = 1) -> None:
        self._order(verb, times, done=False, error=error or Unavailable("cut off"))

    def lose(self, verb: str, *, times: int = 1) -> None:
        self._order(verb, times, done=True, error=Uncertain("no answer came"))

    def _order(self, verb: str, times: int, *, done: bool, error: Exception) -> None:
        self._orders.setdefault(verb, deque()).extend([(done, error)] * times)

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        return lambda *args, **named: self._call(verb, args, named)

    def wait(self, queues: Collection[str], timeout: float) -> set[str]:
        if self.away:
            raise Unavailable("away")
        self.calls["wait"] += 1
        return self.inner.wait(queues, timeout)

    def _call(self, verb: str, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        self.calls[verb] += 1
        self.sent.append((verb, args))
        if self.away:
            raise Unavailable("away")
        orders = self._orders.get(verb)
        done, error = orders.popleft() if orders else (True, None)
        answer = getattr(self.inner, verb)(*args, **named) if done else None
        if error is not None:
            raise error
        self.after(verb)
        return answer


def states(queue: Queue[Any]) -> dict[str, int]:
    """How many jobs there are in each state that has any."""
    counts = queue.counts()
    return {str(state): number for state in State if (number := getattr(counts, state))}


def turns_of(worker: Worker) -> Callable[[], int]:
    """Count the rounds that a running worker's movers make from here on."""
    turns = [0]
    eventually(lambda: worker._shift.movers)
    for mover in worker._shift.movers:

        def counted(turn: Callable[[], None] = mover.turn) -> None:
            turns[0] += 1
            turn()

        mover.turn = counted  # type: ignore[method-assign]  # to be counted
    return lambda: turns[0]


def pause() -> None:
    """Let a worker that spins do so for a while: it would make thousands of rounds."""
    for _ in range(30):
        threading.Event().wait(0.01)


def few_threads(monkeypatch: pytest.MonkeyPatch, prefix: str, times: int) -> list[int]:
    """Have the next threads whose names begin so not start, as where there are no more; what it gives counts down."""
    left, start = [times], threading.Thread.start

    def scarce(thread: threading.Thread) -> None:
        if thread.name.startswith(prefix) and left[0]:
            left[0] -= 1
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", scarce)
    return left
