"""A mover's single steps, where what matters happens between two of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from core.loops import Faulty

from jobcore import clocks
from jobcore.backend import State, Succeed, Unavailable, Uncertain
from jobcore.backends.memory import MemoryBackend
from jobcore.binding import Binding
from jobcore.mover import Mover
from jobcore.queue import Queue
from jobcore.recovery import Recovery
from jobcore.settling import give_back
from jobcore.testing import ManualClock
from jobcore.waiting import Bell
from jobcore.worker import Worker

LEASE = 10.0


class Silent(Bell):
    """A bell that nobody sleeps by."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@contextmanager
def moving(*queues: Queue[Any]) -> Iterator[Mover]:
    """A worker's mover, at rest, whose hands take nothing up."""
    worker = Worker(*queues, monitor=False, lease=LEASE)
    with worker._open():
        mover = worker._shift.movers[0]
        worker._shift.hands.nudge = lambda: None  # type: ignore[method-assign]  # so that what waits goes on waiting
        mover.bell = Silent()
        yield mover


def queue_of(backend: Any, name: str, jobs: int) -> Queue[None]:
    queue: Queue[None] = Queue(name, backend)

    @queue.job
    def work() -> None: ...

    queue.enqueue_many([work.job()] * jobs)
    return queue


def lose(backend: Any, clock: ManualClock, queue: str, *, times: int) -> None:
    """Have a queue's jobs lost, and brought back, so many times."""
    from jobcore.monitor import Monitor

    for number in range(times):
        backend.claim(queue, 100, 1_000_000, "dead", b"dead %011d" % number, 2**30)
        clock.advance(1)
        Monitor(Queue(queue, backend), heal=False).step()


def test_what_has_finished_waits_for_company_asleep(monkeypatch: pytest.MonkeyPatch) -> None:
    with moving(queue_of(MemoryBackend(), "q", 3)) as mover:
        mover.claim()
        give_back(mover.shift.hands.withdraw()[0])
        now = clocks.steady()
        monkeypatch.setattr(clocks, "steady", lambda: now)
        mover._rest()
        assert isinstance(mover.bell, Silent)
        assert len(mover.bell.slept) == 1


def test_the_pace_is_that_of_the_hands_however_slow_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(clocks, "steady", lambda: now[0])
    with moving(queue_of(MemoryBackend(), "q", 200)) as mover:
        for _ in range(5):
            mover.claim_from(mover.lanes[0], 40)
            for task in mover.shift.hands.withdraw():
                now[0] += 0.001
                task.outcome, task.ended = Succeed(), now[0]
                task.setting.finished(task)
            now[0] += 5  # which a settlement waits for the store
            mover.settle()
        assert mover._settler.pace == pytest.approx(1000, rel=0.1)


def test_what_goes_back_unrun_adds_nothing_to_the_pace() -> None:
    with moving(queue_of(MemoryBackend(), "q", 16)) as mover:
        mover.claim()
        for task in mover.shift.hands.withdraw():
            give_back(task)
        mover.settle()
        assert mover._settler.pace == 0


def test_a_claim_in_doubt_stays_in_doubt_while_the_store_is_away() -> None:
    """What the first call took is held under that call, and another would not get it."""
    backend = Faulty()
    with moving(queue_of(backend, "q", 1)) as mover:
        backend.lose("claim")
        backend.fail("claim", Unavailable("away"))
        for error in (Uncertain, Unavailable):
            with pytest.raises(error):
                mover.claim()
        mover.claim()
        assert [task.claim.attempt for task in mover.lanes[0].held] == [1]
    assert len({arguments[4] for verb, arguments in backend.sent if verb == "claim"}) == 1


def test_a_job_that_runs_alone_waits_for_claims_in_doubt() -> None:
    clock = ManualClock()
    backend = Faulty(MemoryBackend(clock))
    queues = [queue_of(backend, "lost", 1), queue_of(backend, "doubt", 1)]
    lose(backend, clock, "lost", times=2)
    with moving(*queues) as mover:
        lost, doubt = mover.lanes
        backend.lose("claim")
        with pytest.raises(Uncertain):
            mover.claim_from(doubt, 1)
        mover.claim_from(lost, 1)
        mover._run_lonely()
        assert mover.lonely, "it runs, and what the claim took would be lost with it"
        mover.claim()
        mover._give_back()
        mover.settle()
        mover._run_lonely()
        assert not mover.lonely
    assert backend.counts("doubt").ready == 1


def test_a_job_that_runs_alone_is_not_given_back_before_a_hand_takes_it_up() -> None:
    clock = ManualClock()
    backend = Faulty(MemoryBackend(clock))
    queue = queue_of(backend, "lost", 1)
    lose(backend, clock, "lost", times=2)
    with moving(queue) as mover:
        mover.claim()
        mover._run_lonely()
        mover._give_back()
        assert (mover.shift.hands.waiting, mover.shift.alone) == (1, True)
        mover.shift.stop()
        mover._give_back()
        mover.settle()
    assert backend.counts("lost").ready == 1


class TestAMonitorBesideAJobThatRunsAlone:
    """What the monitor of the same process holds would be lost with it as well."""

    @pytest.fixture
    def clock(self) -> ManualClock:
        return ManualClock()

    @pytest.fixture
    def backend(self, clock: ManualClock) -> Faulty:
        return Faulty(MemoryBackend(clock))

    @pytest.fixture
    def mover(self, backend: Faulty, clock: ManualClock) -> Iterator[Mover]:
        """It has a job that waits to run alone; in another queue one has been lost."""
        queue, other = queue_of(backend, "q", 1), queue_of(backend, "other", 1)
        lose(backend, clock, "q", times=2)
        backend.claim("other", 1, 1_000_000, "dead", bytes(16), 2**30)
        clock.advance(1)
        with moving(queue) as mover:
            mover.claim()
            recovery = Recovery(other, Binding(backend), holder="w", lease=LEASE, abandon_after=9e9, heal=False)
            mover.shift.look_after([recovery])
            yield mover

    def test_takes_nothing_over(self, mover: Mover, backend: Faulty) -> None:
        mover._run_lonely()
        assert mover.shift.alone
        (recovery,) = mover.shift.recoveries
        assert recovery.recover() == 0
        assert backend.peek("other", State.RUNNING, 1).entries[0].lost == 0

    @pytest.mark.parametrize("verb", ["reclaim", "settle"])
    def test_is_waited_for_until_it_holds_nothing(self, verb: str, mover: Mover, backend: Faulty) -> None:
        (recovery,) = mover.shift.recoveries
        backend.lose(verb)
        with pytest.raises(Uncertain):
            recovery.recover()
        mover._run_lonely()
        assert mover.lonely
        recovery.recover()
        mover._run_lonely()
        assert not mover.lonely
