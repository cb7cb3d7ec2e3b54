"""Recovering what a dead worker held, by monitors of which any number may run."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from typing import Any

import pytest
from core.loops import Faulty, Told, eventually, running, states, threads

from jobcore.backend import Claim, Fail, Keep, Push, QueueClosed, State, Uncertain
from jobcore.backends.memory import MemoryBackend
from jobcore.errors import InvalidArgument, Unavailable
from jobcore.events import Kind, Teller
from jobcore.monitor import Monitor, new_holder
from jobcore.queue import Queue
from jobcore.recovery import Recovery
from jobcore.testing import ManualClock
from jobcore.worker import Worker

LEASE = 60
CALL = b"a dead worker's!"


class Yard:
    """A queue on a store with a clock of its own, and workers that die holding jobs."""

    def __init__(self, **policy: Any) -> None:
        self.clock = ManualClock()
        self.backend = Faulty(MemoryBackend(self.clock))
        self.queue: Queue[None] = Queue("q", self.backend, **policy)
        self.ran: list[int] = []

        @self.queue.job
        def work(number: int) -> None:
            self.ran.append(number)

        self.work = work

    def enqueue(self, number: int = 1) -> list[str]:
        return [self.work.enqueue(each) for each in range(number)]

    def die(self, *, limit: int = 100, holder: str = "dead", over: bool = True) -> list[Claim]:
        """Claim as a worker that dies then; its lease has just run out, unless it is not `over`."""
        claims = self.backend.inner.claim("q", limit, LEASE * 1_000_000, holder, CALL, 2**30).claims
        self.clock.advance(LEASE if over else 0)
        return claims

    def monitor(self, **options: Any) -> Monitor:
        return Monitor(self.queue, lease=LEASE, **options)


def test_what_a_dead_worker_held_goes_back_to_its_old_place_uncounted():
    yard = Yard()
    yard.enqueue(3)
    yard.die(limit=2)
    assert yard.monitor().step() == 2
    entries = yard.queue.entries("ready").entries
    assert [(entry.attempt, entry.lost) for entry in entries] == [(0, 1), (0, 1), (0, 0)]
    Worker(yard.queue, concurrency=1, monitor=False).run(until_empty=True)
    assert yard.ran == [0, 1, 2]


def test_a_lease_that_has_not_run_out_is_left_alone():
    yard = Yard()
    yard.enqueue()
    yard.die(over=False)
    yard.clock.advance(LEASE, microseconds=-1)
    assert yard.monitor().step() == 0
    yard.clock.advance(microseconds=1)
    assert yard.monitor().step() == 1


def test_a_job_that_is_lost_too_often_fails_and_says_so():
    yard, told = Yard(max_lost=3), Told()
    (id,) = yard.enqueue()
    monitor = yard.monitor(on_event=told)
    for _ in range(3):
        yard.die()
        assert monitor.step() == 1
    entry = yard.queue.find(id)
    assert entry is not None
    assert (entry.state, entry.reason, entry.lost) == ("failed", "lost 3 times", 3)
    eventually(lambda: told.kinds() == [Kind.RECOVERED, Kind.RECOVERED, Kind.FAILED])
    assert {event.name for event in told} == {"work"}


def test_each_job_type_has_its_own_bound_of_losses():
    yard = Yard(max_lost=3)

    @yard.queue.job(max_lost=1)
    def fragile() -> None: ...

    fragile.enqueue()
    yard.enqueue()
    yard.die()
    assert yard.monitor().step() == 2
    assert states(yard.queue) == {"failed": 1, "ready": 1}


def test_a_job_that_was_lost_more_often_than_it_now_may_be_fails():
    yard = Yard()
    yard.enqueue()
    for _ in range(2):
        yard.die()
        assert yard.monitor().step() == 1
    stricter: Queue[None] = Queue("q", yard.backend, max_lost=1)
    yard.die()
    assert Monitor(stricter, lease=LEASE).step() == 1
    assert states(yard.queue) == {"failed": 1}


def test_a_job_whose_payload_nobody_reads_has_the_queues_bound():
    yard = Yard(max_lost=2)
    yard.backend.push("q", [Push("id", b"rubbish")])
    for expected in ({"ready": 1}, {"failed": 1}):
        yard.die()
        yard.monitor().step()
        assert states(yard.queue) == expected


@pytest.mark.parametrize(("later", "state"), [(0, "ready"), (1, "failed")])
def test_a_job_whose_lease_ended_long_ago_is_abandoned(later: int, state: str):
    yard = Yard()
    (id,) = yard.enqueue()
    yard.die()
    yard.clock.advance(3600, microseconds=later)
    yard.monitor(abandon_after=3600).step()
    entry = yard.queue.find(id)
    assert entry is not None
    assert entry.state == state
    assert (entry.reason or "").startswith("abandoned") == (state == "failed")


def test_what_a_holder_had_that_is_known_dead_is_brought_back_at_once():
    yard = Yard()
    yard.enqueue(250)
    yard.die(limit=249, over=False)
    yard.backend.inner.claim("q", 1, LEASE * 1_000_000, "alive", b"b" * 16, 100)
    assert yard.monitor().recover("dead") == 249
    assert states(yard.queue) == {"ready": 249, "running": 1}
    assert yard.monitor().recover("dead") == 0


def test_of_several_monitors_each_job_is_recovered_by_one():
    yard = Yard()
    yard.enqueue(500)
    yard.die(limit=500)
    recovered: list[int] = []
    helpers = [threading.Thread(target=lambda: recovered.append(yard.monitor().step())) for _ in range(4)]
    for helper in helpers:
        helper.start()
    for helper in helpers:
        helper.join()
    assert sum(recovered) == 500
    assert {entry.lost for entry in yard.queue.entries("ready", limit=500).entries} == {1}


def test_what_a_monitor_took_over_before_it_died_is_recovered_by_another():
    yard = Yard()
    (id,) = yard.enqueue()
    yard.die()
    yard.backend.fail("settle", Unavailable("and dead"))
    with pytest.raises(Unavailable):
        yard.monitor().step()
    assert yard.monitor().step() == 0
    yard.clock.advance(LEASE)
    assert yard.monitor().step() == 1
    entry = yard.queue.find(id)
    assert entry is not None
    assert (entry.state, entry.lost, entry.attempt) == ("ready", 2, 0)


@pytest.mark.parametrize("verb", ["reclaim", "settle"])
@pytest.mark.parametrize("how", ["fail", "lose"])
def test_a_monitor_whose_call_failed_goes_on_from_there_without_another_lease(verb: str, how: str):
    yard = Yard()
    (id,) = yard.enqueue()
    yard.die()
    monitor = yard.monitor()
    getattr(yard.backend, how)(verb)
    with pytest.raises((Unavailable, Uncertain)):
        monitor.step()
    monitor.step()
    entry = yard.queue.find(id)
    assert entry is not None
    assert (entry.state, entry.lost) == ("ready", 1)
    reclaims = [args[4] for verb, args in yard.backend.sent if verb == "reclaim"]
    assert (reclaims[0] == reclaims[1]) == (verb == "reclaim")


def test_one_store_that_is_away_does_not_keep_a_monitor_from_another():
    bad, good = Yard(), Yard()
    bad.backend.away = True
    good.enqueue()
    good.die()
    monitor = Monitor(bad.queue, Queue("q", good.backend), lease=LEASE, on_event=(told := Told()))
    thread = threading.Thread(target=monitor.run)
    thread.start()
    eventually(lambda: states(good.queue) == {"ready": 1})
    eventually(lambda: told.of(Kind.AWAY))
    monitor.stop()
    thread.join(20)
    assert not thread.is_alive()


def test_a_monitor_tells_when_a_store_is_back():
    yard, told = Yard(), Told()
    yard.backend.away = True
    monitor = yard.monitor(interval=0.01, on_event=told)
    thread = threading.Thread(target=monitor.run)
    thread.start()
    eventually(lambda: told.of(Kind.AWAY))
    yard.backend.away = False
    eventually(lambda: told.of(Kind.BACK))
    monitor.stop()
    thread.join(20)
    eventually(lambda: threads() == [])


def test_a_worker_runs_a_monitor_unless_told_not_to():
    for monitor in (True, False):
        yard = Yard()
        yard.enqueue()
        yard.die()
        with running(Worker(yard.queue, lease=0.5, monitor=monitor)):
            if monitor:
                eventually(lambda yard=yard: yard.ran == [0])
            else:
                eventually(lambda yard=yard: yard.backend.calls["claim"])
        assert bool(yard.backend.calls["reclaim"]) is monitor


@pytest.mark.parametrize(("interval", "seconds"), [(None, LEASE / 10), (7, 7)])
def test_a_monitor_looks_at_once_and_then_ten_times_a_lease(
    interval: float | None, seconds: float, monkeypatch: pytest.MonkeyPatch
):
    yard, looked = Yard(), list[tuple[float, int]]()
    monkeypatch.setattr(
        "jobcore.monitor.every", lambda each, step, stop: looked.append((each, yard.backend.calls["reclaim"]))
    )
    yard.monitor(interval=interval).run()
    assert looked == [(seconds, 1)]


def test_a_monitor_that_was_stopped_looks_no_more():
    yard = Yard()
    monitor = yard.monitor()
    monitor.stop()
    monitor.run()
    assert not yard.backend.calls


def test_what_is_taken_over_is_held_in_the_monitors_name_for_its_lease():
    yard = Yard()
    (id,) = yard.enqueue()
    yard.die()
    yard.backend.fail("settle")
    with pytest.raises(Unavailable):
        yard.monitor(holder="a monitor").step()
    entry = yard.queue.find(id)
    assert entry is not None
    assert (entry.holder, entry.lease_until) == ("a monitor", yard.clock.now() + LEASE * 1_000_000)


def test_a_holder_tells_host_and_process_and_is_never_another_s():
    one, two = new_holder(), new_holder()
    assert re.fullmatch(rf".{{1,100}}:{os.getpid()}:[0-9a-f]{{8}}", one)
    assert one != two


def test_a_step_counts_what_was_recovered_and_what_was_healed():
    yard = Yard()
    yard.enqueue(2)
    broken, _ = yard.die()
    yard.backend.settle("q", [(broken.hold, Fail(State.BROKEN))], Keep())
    assert yard.monitor().step() == 2
    assert states(yard.queue) == {"ready": 2}


def test_a_store_that_is_away_is_told_of_with_the_reason_and_its_return_once():
    yard, told = Yard(), Told()
    recovery = Recovery(yard.queue, yard.queue.binding, holder="m", lease=LEASE, abandon_after=1, heal=False)
    recovery.teller = Teller((told,))
    recovery.step_anyway()
    yard.backend.away = True
    recovery.step_anyway()
    assert recovery.away and recovery.backend is yard.backend  # which is asked by who is to run alone
    yard.backend.away = False
    recovery.step_anyway()
    recovery.step_anyway()
    recovery.teller.close()
    assert [(event.kind, event.reason) for event in told] == [(Kind.AWAY, "Unavailable: away"), (Kind.BACK, "")]
    assert not recovery.away


@pytest.mark.parametrize("error", [Unavailable("away"), ValueError("of the client library")])
def test_only_an_error_that_nobody_foresaw_is_logged_with_its_trace(error: Exception, caplog: pytest.LogCaptureFixture):
    yard = Yard()
    recovery = Recovery(yard.queue, yard.queue.binding, holder="m", lease=LEASE, abandon_after=1, heal=False)
    yard.backend.fail("reclaim", error)
    recovery.step_anyway()
    assert recovery.away
    assert [record.exc_info and record.exc_info[1] for record in caplog.records if record.levelname == "ERROR"] == (
        [error] if isinstance(error, ValueError) else []
    )


def test_what_a_monitor_decided_is_told_with_all_that_is_known():
    yard, told = Yard(), Told()
    (id,) = yard.enqueue()
    yard.backend.push("q", [Push("rubbish", b"rubbish")])
    yard.die()
    eventually(lambda: threads() == [])  # those of other tests
    monitor = yard.monitor(on_event=told)
    monitor.step()
    monitor.stop()
    monitor.run()  # which tells what is left to be told
    assert threads() == []
    assert [(event.kind, event.id, event.name, event.attempt, event.lost, event.reason) for event in told] == [
        (Kind.RECOVERED, id, "work", 1, 1, "its lease ended"),
        (Kind.RECOVERED, "rubbish", None, 1, 1, "its lease ended"),
    ]


def test_a_job_of_a_process_that_died_is_not_said_to_have_lost_its_lease_by_time():
    yard, told = Yard(), Told()
    (id,) = yard.enqueue()
    yard.queue.backend.claim("q", 1, 60_000_000, "dead", bytes(16), 10**6)
    monitor = yard.monitor(on_event=told)
    monitor.recover("dead")
    monitor.stop()
    monitor.run()
    assert [(event.id, event.lost, event.reason) for event in told] == [(id, 1, "its process died")]


def test_an_abandoned_job_says_for_how_long_nobody_looked():
    yard = Yard()
    (id,) = yard.enqueue()
    yard.die()
    yard.clock.advance(7200)
    yard.monitor(abandon_after=3600).step()
    entry = yard.queue.find(id)
    assert entry is not None
    assert entry.reason == "abandoned: its lease ended 7200 s before anybody looked"


def test_a_monitor_of_a_backend_that_was_closed_holds_nothing_and_asks_no_more():
    yard = Yard()
    yard.enqueue()
    yard.die()
    recovery = Recovery(yard.queue, yard.queue.binding, holder="m", lease=LEASE, abandon_after=1, heal=False)
    yard.backend.fail("settle")
    recovery.step_anyway()
    assert recovery.holds
    yard.backend.fail("settle", QueueClosed("closed"))
    recovery.step_anyway()
    assert not recovery.holds
    calls = yard.backend.calls.total()
    recovery.step_anyway()
    assert yard.backend.calls.total() == calls


def test_a_hushed_monitor_takes_nothing_over_but_ends_what_it_began():
    yard = Yard()
    yard.enqueue()
    yard.die()
    recovery = Recovery(yard.queue, yard.queue.binding, holder="m", lease=LEASE, abandon_after=LEASE, heal=False)
    recovery.hushed = lambda: True
    assert recovery.step() == 0
    assert not recovery.holds
    assert yard.backend.calls["reclaim"] == 0
    recovery.hushed = lambda: False
    yard.backend.lose("reclaim")
    with pytest.raises(Uncertain):
        recovery.step()
    recovery.hushed = lambda: True
    assert recovery.holds
    assert recovery.step() == 1
    assert not recovery.holds


@pytest.mark.parametrize(
    "make",
    [
        lambda queue: Monitor(),
        lambda queue: Monitor(queue, lease=0),
        lambda queue: Monitor(queue, interval=-1),
        lambda queue: Monitor(queue, abandon_after=float("nan")),
    ],
)
def test_an_argument_without_sense_is_refused(make: Callable[[Any], Monitor]):
    with pytest.raises(InvalidArgument):
        make(Queue("q", "memory://"))
