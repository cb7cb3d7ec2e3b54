"""A job that is to run alone, where what it waits for does not come: its worker goes on all the same."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from core.loops import BOUND, Faulty, eventually, running, states

from jobcore.backend import Refused, Unavailable, Uncertain
from jobcore.backends.memory import MemoryBackend
from jobcore.monitor import Monitor
from jobcore.queue import Queue
from jobcore.testing import ManualClock
from jobcore.worker import Worker


def noting(backend: Any, name: str, ids: list[str]) -> tuple[Queue[None], list[int]]:
    """A queue of jobs that note what they ran with."""
    queue: Queue[None] = Queue(name, backend)
    ran: list[int] = []
    job = queue.job(ran.append, name="job")
    queue.enqueue_many([job.job(number) for number in range(len(ids))], ids=ids)
    return queue, ran


def lost(store: Faulty, clock: ManualClock, ids: list[str]) -> tuple[Queue[None], list[int]]:
    """A queue whose jobs have been lost twice."""
    queue, ran = noting(store, "lost", ids)
    for number in range(2):
        store.claim("lost", 100, 1_000_000, "dead", b"dead %011d" % number, 2**30)
        clock.advance(1)
        Monitor(queue, heal=False).step()
    return queue, ran


def stepped(worker: Worker) -> int:
    """What `worker.step()` gives or raises, within a bound."""
    answer: list[int | BaseException] = []

    def step() -> None:
        try:
            answer.append(worker.step())
        except BaseException as error:  # noqa: BLE001 -- it is raised below
            answer.append(error)

    thread = threading.Thread(target=step, daemon=True)
    thread.start()
    thread.join(BOUND)
    assert answer, "it does not end"
    if isinstance(answer[0], BaseException):
        raise answer[0]
    return answer[0]


class Leaving(Faulty):
    """A store that goes away in the middle of its first call of a verb: that is carried out, and no answer comes."""

    def __init__(self, verb: str) -> None:
        super().__init__()
        self._last = verb
        self.lose(verb)

    def _call(self, verb: str, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        try:
            return super()._call(verb, args, named)
        finally:
            self.away = self.away or verb == self._last


class Refusing(Faulty):
    """A store that refuses, for ever, settlements with a job of an id."""

    refused = ""

    def _call(self, verb: str, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if verb == "settle" and any(hold.id == self.refused for hold, _ in args[1]):
            raise Refused("not this one")
        return super()._call(verb, args, named)


def test_a_step_gives_it_back_while_a_claim_is_in_doubt() -> None:
    clock = ManualClock()
    store = Faulty(MemoryBackend(clock))
    queue, ran = lost(store, clock, ["a"])
    other, others = noting(store, "other", ["b"])
    worker = Worker(queue, other)
    store.after = lambda verb: store.lose("claim") if verb == "claim" else None
    with pytest.raises(Uncertain):
        stepped(worker)
    assert (ran, others) == ([], [])
    assert states(queue) == {"ready": 1}
    store.after = lambda verb: None
    assert stepped(worker) == 2
    assert (ran, others) == ([0], [0])
    worker.stop()


def test_a_step_gives_it_back_while_another_store_does_not_settle() -> None:
    clock = ManualClock()
    queue, ran = lost(Faulty(MemoryBackend(clock)), clock, ["a"])
    away = Faulty()
    other, others = noting(away, "other", ["b"])
    worker = Worker(queue, other)
    away.fail("settle")
    with pytest.raises(Unavailable):
        stepped(worker)
    assert (ran, others) == ([], [0])
    assert stepped(worker) == 1
    assert ran == [0]
    worker.stop()


@pytest.mark.parametrize("verb", ["claim", "settle", "reclaim"])
def test_it_does_not_wait_for_another_store_that_is_away(verb: str) -> None:
    clock = ManualClock()
    queue, ran = lost(Faulty(MemoryBackend(clock)), clock, ["a"])
    store = Leaving(verb)
    other, _ = noting(store, "other", ["b"])
    with running(Worker(other, queue, grace=0)):
        eventually(lambda: store.away and ran == [0])
        eventually(lambda: states(queue) == {})


@pytest.mark.parametrize("refused", ["neighbour", "first"])
def test_it_neither_waits_for_what_is_refused_nor_has_others_wait_when_it_is_refused(refused: str) -> None:
    clock = ManualClock()
    store = Refusing(MemoryBackend(clock))
    queue, ran = lost(store, clock, ["first", "second"])
    other, others = noting(store, "other", ["neighbour"])
    store.refused = refused
    with running(Worker(other, queue, monitor=False, grace=0)):
        eventually(lambda: sorted(ran) == [0, 1] and others == [0])
        eventually(lambda: states(queue) == ({"running": 1} if refused == "first" else {}))
