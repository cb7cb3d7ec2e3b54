"""Keeping: leases are extended in time, and what has lost its lease is not begun and changes nothing."""

from __future__ import annotations

import threading
from time import perf_counter
from typing import Any

import pytest
from core.loops import Faulty, Told, eventually, running, states

from jobcore.backend import Answer, State
from jobcore.backends.memory import MemoryBackend
from jobcore.events import Kind
from jobcore.queue import Queue
from jobcore.testing import ManualClock
from jobcore.worker import Worker

LEASE = 0.3
ANOTHER = b"another monitor!"


class Held:
    """A queue on a store whose clock stands still, with a job that runs until it is let go."""

    def __init__(self, **options: Any) -> None:
        self.clock = ManualClock()
        self.backend = Faulty(MemoryBackend(self.clock))
        self.queue = Queue("q", self.backend, keep_succeeded=100)
        self.told = Told()
        self.begun, self.open = threading.Semaphore(0), threading.Event()
        self.ran: list[int] = []

        @self.queue.job
        def work(number: int) -> None:
            self.begun.release()
            self.open.wait(20)
            self.ran.append(number)

        self.work = work
        self.worker = Worker(
            self.queue, **({"lease": LEASE, "monitor": False, "on_event": self.told, "concurrency": 4} | options)
        )

    def take_over(self) -> list[str]:
        """Take all jobs over as a monitor does whose store's clock says that their leases are over."""
        self.clock.advance(3600)
        return [claim.id for claim in self.backend.inner.reclaim("q", 100, 3600_000_000, "other", ANOTHER)]

    def extended(self) -> list[list[str]]:
        return [[hold.id for hold in args[1]] for verb, args in self.backend.sent if verb == "extend"]


def test_what_runs_keeps_its_lease_however_long_it_takes():
    held = Held()
    id = held.work.enqueue(1)
    with running(held.worker):
        eventually(lambda: states(held.queue) == {"running": 1})
        before = held.queue.find(id)
        assert before is not None and before.lease_until is not None
        held.clock.advance(LEASE / 2)
        eventually(lambda: (entry := held.queue.find(id)) and entry.lease_until == before.lease_until + LEASE * 500_000)
        held.open.set()


def test_leases_are_extended_in_one_call_a_third_on():
    held = Held(lease=60)
    with running(held.worker):
        ids = {held.work.enqueue(number) for number in range(4)}
        for _ in ids:
            assert held.begun.acquire(timeout=20)
        (mover,) = held.worker._shift.movers
        (lane,) = mover.lanes
        keeper = keeper_of(held.worker)
        keeper.step()
        assert held.extended() == []
        for task in lane.held:
            task.until = perf_counter() + 40.5
        keeper.step()
        assert held.extended() == []
        for task in lane.held:
            task.until = perf_counter() + 40
        keeper.step()
        assert [set(batch) for batch in held.extended()] == [ids]
        keeper.step()
        assert len(held.extended()) == 1
        held.open.set()


def keeper_of(worker: Worker) -> Any:
    from jobcore.leases import Keeper

    (mover,) = worker._shift.movers
    return Keeper(mover, mover.backend, worker._shift.lease)


def test_a_batch_of_leases_is_a_thousand_at_the_most():
    held = Held(lease=60, concurrency=1)
    held.queue.enqueue_many([held.work.job(number) for number in range(2500)])
    worker = held.worker
    worker._enter()
    (mover,) = worker._shift.movers
    mover.claim_from(mover.lanes[0], 2500)
    for task in mover.lanes[0].held:
        task.until = perf_counter() + 1
    keeper_of(worker).step()
    assert sorted(map(len, held.extended())) == [500, 1000, 1000]
    worker.stop(now=True)
    held.open.set()


def test_what_was_lost_before_it_began_is_not_run():
    held = Held(concurrency=1, lease=60)
    worker = held.worker
    first, second = (held.work.enqueue(number) for number in range(2))
    worker._enter()
    (mover,) = worker._shift.movers
    (lane,) = mover.lanes
    assert mover.claim_from(lane, 2) == 2
    assert held.begun.acquire(timeout=20)
    assert held.take_over() == [first, second]
    for task in lane.held:
        task.until = perf_counter() + 40
    keeper_of(worker).step()
    held.open.set()
    mover.finish()
    worker.stop()
    assert held.ran == [0]
    assert states(held.queue) == {"running": 2}
    assert [held.told.kinds(id) for id in (first, second)] == [[Kind.STARTED, Kind.LOST], [Kind.LOST]]


def test_a_settlement_after_the_lease_was_lost_changes_nothing_and_is_told_once():
    held = Held(lease=3600)
    id = held.work.enqueue(1)
    with running(held.worker):
        assert held.begun.acquire(timeout=20)
        assert held.take_over() == [id]
        held.open.set()
        eventually(lambda: held.told.of(Kind.REFUSED))
    entry = held.queue.find(id)
    assert entry is not None
    assert (entry.state, entry.holder, entry.lost) == (State.RUNNING, "other", 1)
    assert held.told.kinds(id) == [Kind.STARTED, Kind.REFUSED]
    assert held.ran == [1]


def test_a_loss_that_the_keeper_has_told_is_not_told_again_by_the_settlement():
    held = Held()
    id = held.work.enqueue(1)
    with running(held.worker):
        assert held.begun.acquire(timeout=20)
        held.take_over()
        eventually(lambda: held.told.of(Kind.LOST))
        held.open.set()
        eventually(lambda: held.ran)
    assert held.told.kinds(id) == [Kind.STARTED, Kind.LOST]


def test_a_refusal_of_a_settlement_that_had_to_be_repeated_proves_nothing():
    held = Held(lease=3600)
    held.backend.lose("settle")
    id = held.work.enqueue(1)
    held.open.set()
    with running(held.worker):
        eventually(lambda: held.told.of(Kind.UNPROVEN))
    assert states(held.queue) == {"succeeded": 1}
    assert held.told.of(Kind.REFUSED) == []
    assert held.told.kinds(id) == [Kind.STARTED, Kind.UNPROVEN]


def test_a_lease_that_is_busy_is_asked_for_again():
    held = Held()
    real, busy = held.backend.inner.extend, [3]

    def extend(*args: Any) -> list[Answer]:
        if busy[0]:
            busy[0] -= 1
            return [Answer.BUSY] * len(args[1])
        return real(*args)

    held.backend.inner.extend = extend  # type: ignore[method-assign]  # as a driver that skips locked rows
    held.work.enqueue(1)
    with running(held.worker):
        assert held.begun.acquire(timeout=20)
        eventually(lambda: not busy[0] and len(held.extended()) > 3)
        held.open.set()
    assert held.told.of(Kind.LOST) == []
    assert states(held.queue) == {"succeeded": 1}


@pytest.mark.parametrize("error", [None, RuntimeError("surprise"), ValueError()])
def test_an_extension_that_fails_is_tried_again(error: Exception | None):
    held = Held()
    held.backend.fail("extend", error, times=2)
    held.work.enqueue(1)
    with running(held.worker):
        assert held.begun.acquire(timeout=20)
        eventually(lambda: held.backend.calls["extend"] > 3)
        held.open.set()
    assert states(held.queue) == {"succeeded": 1}


def test_a_job_whose_lease_is_over_by_our_own_clock_is_not_begun():
    """Though nobody could tell us, for the store is away: another worker may have it by now."""
    held = Held(concurrency=1, lease=0.2)
    worker = held.worker
    held.queue.enqueue_many([held.work.job(number) for number in range(3)])
    worker._enter()
    (mover,) = worker._shift.movers
    assert mover.claim_from(mover.lanes[0], 3) == 3
    assert held.begun.acquire(timeout=20)
    held.backend.away = True
    eventually(lambda: all(task.until < perf_counter() for task in mover.lanes[0].held))
    held.open.set()
    eventually(lambda: mover.outstanding == 0)
    held.backend.away = False
    mover.finish()
    worker.stop(now=True)
    assert held.ran == [0]
    assert states(held.queue) == {"succeeded": 1, "ready": 2}
    assert {entry.attempt for entry in held.queue.entries("ready").entries} == {0}


def test_the_lease_of_a_repeated_claim_counts_from_when_it_was_granted():
    """Its answer was lost: the store has counted down since, and tells what is left."""
    held = Held(lease=60)
    held.backend.lose("claim")
    held.work.enqueue(1)
    worker = held.worker
    worker._enter()
    (mover,) = worker._shift.movers
    with pytest.raises(Exception, match="no answer"):
        mover.claim_from(mover.lanes[0], 1)
    held.clock.advance(50)
    before = perf_counter()
    assert mover.claim_from(mover.lanes[0], 1) == 1
    (task,) = mover.lanes[0].held
    assert before + 9.9 <= task.until <= perf_counter() + 10
    held.open.set()
    mover.finish()
    worker.stop()
