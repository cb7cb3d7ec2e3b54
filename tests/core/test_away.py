"""A store that is away, or in doubt: nothing is lost, nothing is run twice, and the worker goes on."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from core.loops import Faulty, Told, eventually, running, states, threads

from jobcore.backend import Refused, Unavailable, Uncertain
from jobcore.events import Kind, Teller
from jobcore.outage import Outage
from jobcore.queue import Queue
from jobcore.worker import Worker

ERRORS = [Unavailable("gone"), Refused("read-only"), Uncertain("cut off"), RuntimeError("surprise")]


def counting(backend: Any, **options: Any) -> tuple[Queue[None], list[int]]:
    queue: Queue[None] = Queue(options.pop("name", "q"), backend, keep_succeeded=1000, **options)
    ran: list[int] = []

    @queue.job
    def work(number: int) -> None:
        ran.append(number)

    queue.enqueue_many([work.job(number) for number in range(30)])
    return queue, ran


@pytest.mark.parametrize("verb", ["claim", "settle"])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_call_that_was_not_carried_out_is_made_again(verb: str, error: Exception):
    backend = Faulty()
    backend.fail(verb, error, times=2)
    queue, ran = counting(backend)
    Worker(queue, monitor=False, concurrency=3).run(until_empty=True)
    assert sorted(ran) == list(range(30))
    assert states(queue) == {"succeeded": 30}


@pytest.mark.parametrize("verb", ["claim", "settle"])
def test_a_call_whose_answer_was_lost_is_repeated_and_each_job_runs_once(verb: str):
    backend = Faulty()
    backend.lose(verb, times=2)
    queue, ran = counting(backend)
    Worker(queue, monitor=False, concurrency=3).run(until_empty=True)
    assert sorted(ran) == list(range(30))
    assert states(queue) == {"succeeded": 30}


def test_a_claim_without_answer_is_repeated_by_its_name_and_others_never():
    backend = Faulty()
    backend.lose("claim", times=2)
    queue, _ = counting(backend)
    Worker(queue, monitor=False, concurrency=3).run(until_empty=True)
    calls = [args[4] for verb, args in backend.sent if verb == "claim"]
    assert calls[0] == calls[1] == calls[2]
    assert len(set(calls)) == len(calls) - 2


def test_what_finished_while_the_store_was_away_is_settled_when_it_is_back():
    backend, told, go, done = Faulty(), Told(), threading.Event(), threading.Event()
    queue = Queue("q", backend, keep_succeeded=10)

    @queue.job
    def work() -> None:
        go.wait(20)
        done.set()

    work.enqueue()
    with running(Worker(queue, monitor=False, on_event=told)):
        eventually(lambda: states(queue) == {"running": 1})
        backend.away = True
        go.set()
        assert done.wait(20)
        eventually(lambda: told.of(Kind.AWAY))
        backend.away = False
        eventually(lambda: states(queue) == {"succeeded": 1})
        eventually(lambda: told.of(Kind.BACK))
    kinds = told.kinds()
    assert kinds.index(Kind.AWAY) < kinds.index(Kind.BACK) < kinds.index(Kind.SUCCEEDED)
    assert "away" in told.of(Kind.AWAY)[0].reason


def test_a_store_that_is_away_is_asked_less_and_less(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("jobcore.outage._MOST_SECONDS", 0.4)
    backend, told = Faulty(), Told()
    backend.away = True
    queue = Queue("q", backend)
    with running(Worker(queue, monitor=False, on_event=told)):
        eventually(lambda: len(told.of(Kind.AWAY)) >= 4)
    times = [event.at for event in told.of(Kind.AWAY)]
    assert times[3] - times[2] > 0.15  # 0.05 to 0.1 s at first, then up to twice as long each time
    assert backend.calls["claim"] < 20


@pytest.mark.parametrize(("lease", "longest"), [(120.0, 5.0), (2.0, 0.5)])
def test_a_store_is_left_alone_for_5_s_or_a_quarter_of_a_lease(
    lease: float, longest: float, monkeypatch: pytest.MonkeyPatch
):
    """What was claimed by a call whose answer was lost is asked for again before others may take it over."""
    monkeypatch.setattr("jobcore.clocks.steady", lambda: 50.0)
    outage = Outage(lambda: Teller(()), ["q"], lease)
    for _ in range(20):
        outage.failed(Unavailable("away"))
    assert longest / 2 <= outage.retry_at - 50.0 <= longest


def test_a_worker_that_can_not_settle_claims_no_more(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("jobcore.outage._MOST_SECONDS", 0.4)
    backend, told = Faulty(), Told()
    queue, ran = counting(backend)
    backend.fail("settle", times=5)
    with running(Worker(queue, monitor=False, concurrency=2, prefetch=1, on_event=told)):
        eventually(lambda: states(queue) == {"succeeded": 30})
        eventually(lambda: told.of(Kind.BACK))
    assert [event.kind for event in told.of(Kind.AWAY, Kind.BACK)] == [Kind.AWAY] * 5 + [Kind.BACK]
    verbs = [verb for verb, _ in backend.sent if verb in {"claim", "settle"}]
    settles = [at for at, verb in enumerate(verbs) if verb == "settle"]
    assert "claim" not in verbs[settles[1] : settles[4]]
    assert sorted(ran) == list(range(30))


def test_where_an_unforeseen_error_came_from_is_logged_once_an_outage(caplog: pytest.LogCaptureFixture):
    backend, told = Faulty(), Told()
    queue, ran = counting(backend)
    backend.fail("claim", RuntimeError("surprise"), times=4)
    with running(Worker(queue, monitor=False, on_event=told)):
        eventually(lambda: len(ran) == 30)
    assert [event.reason for event in told.of(Kind.AWAY)] == ["RuntimeError: surprise"] * 4
    traced = [record for record in caplog.records if record.exc_info]
    assert [record.exc_info and str(record.exc_info[1]) for record in traced] == ["surprise"]


@pytest.mark.parametrize("now", [False, True])
def test_a_worker_can_be_stopped_while_its_store_is_away(now: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("jobcore.shift.LAST_SECONDS", 0.1)
    monkeypatch.setattr("jobcore.outage._FIRST_SECONDS", 3600.0)
    monkeypatch.setattr("jobcore.outage._MOST_SECONDS", 3600.0)
    backend, told = Faulty(), Told()
    queue, _ = counting(backend)
    backend.fail("settle", times=1000)
    worker = Worker(queue, grace=3600 if now else 0.1, on_event=told)
    with running(worker) as thread:
        eventually(lambda: told.of(Kind.AWAY))
        worker.stop(now=now)
        thread.join(20)
        assert not thread.is_alive()


def test_an_idle_worker_whose_store_is_away_stops_at_once():
    backend, told = Faulty(), Told()
    backend.away = True
    worker = Worker(Queue("q", backend), grace=3600, on_event=told)
    with running(worker) as thread:
        eventually(lambda: told.of(Kind.AWAY))
        worker.stop()
        thread.join(20)
        assert not thread.is_alive(), "it waits for its grace, or for the store"
    eventually(lambda: threads() == [])


def test_one_store_that_is_away_does_not_stop_the_others_queues():
    bad, good = Faulty(), Faulty()
    bad_queue, bad_ran = counting(bad, name="bad")
    good_queue, good_ran = counting(good, name="good")
    bad.away = True
    told = Told()
    with running(Worker(bad_queue, good_queue, monitor=False, on_event=told)):
        eventually(lambda: len(good_ran) == 30 and states(good_queue) == {"succeeded": 30})
        eventually(lambda: told.of(Kind.AWAY))
        assert {event.queue for event in told.of(Kind.AWAY)} == {"bad"}
        assert bad_ran == []
        bad.away = False
        eventually(lambda: states(bad_queue) == {"succeeded": 30})


@pytest.mark.parametrize("verb", ["claim", "settle"])
def test_step_raises_what_the_store_raised_and_the_next_goes_on(verb: str):
    backend = Faulty()
    queue, ran = counting(backend)
    backend.lose(verb)
    worker = Worker(queue, concurrency=30)
    with pytest.raises(Uncertain):
        worker.step()
    worker.step()
    worker.stop()
    assert sorted(ran) == list(range(30))
    assert states(queue) == {"succeeded": 30}


def test_a_step_whose_second_claim_fails_still_runs_and_settles_the_first():
    backend = Faulty()
    first, ran = counting(backend, name="first")
    second, _ = counting(Faulty(), name="second")
    second.binding.backend.fail("claim")
    worker = Worker(first, second, concurrency=30)
    with pytest.raises(Unavailable):
        worker.step()
    assert len(ran) == 30
    assert states(first) == {"succeeded": 30}
    assert worker.step() == 30
    worker.stop()


def test_waiting_in_a_store_that_is_away_does_not_spin():
    backend = Faulty()
    queue, ran = counting(backend)
    backend.inner.wait = lambda *args: (_ for _ in ()).throw(Unavailable("gone"))  # type: ignore[method-assign]
    with running(Worker(queue, monitor=False)):
        eventually(lambda: states(queue) == {"succeeded": 30})
        before = backend.calls["wait"]
        threading.Event().wait(0.3)
        assert backend.calls["wait"] - before <= 2
    assert len(ran) == 30


class Picky(Faulty):
    """A store that refuses, for ever, settlements that hold a job or a queue of this name."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def settle(self, queue: str, settlements: Any, keep: Any) -> Any:
        if self.name in {queue, *(hold.id for hold, _ in settlements)}:
            raise Refused("not this one")
        return self._call("settle", (queue, settlements, keep), {})


def test_a_job_that_cannot_be_settled_does_not_hold_up_its_neighbours():
    queue = Queue("a", Picky("poison"))
    job = queue.job(lambda number: None, name="job")
    queue.enqueue_many([job.job(number) for number in range(40)], ids=["poison", *map(str, range(39))])
    with running(Worker(queue, monitor=False, grace=0)):
        eventually(lambda: states(queue) == {"running": 1})
        assert [entry.id for entry in queue.entries("running").entries] == ["poison"]
        queue.enqueue(job.job(40))
        eventually(lambda: states(queue) == {"running": 1})


def test_where_many_settlements_are_refused_no_more_is_claimed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("jobcore.mover.MOST_REFUSED", 10)
    monkeypatch.setattr("jobcore.outage._MOST_SECONDS", 0.02)
    store, told = Picky("bad"), Told()
    queue, ran = counting(store, name="bad")
    good = Queue("good", store, keep_succeeded=10)
    job = good.job(lambda: None, name="job")
    options: dict[str, Any] = {"concurrency": 2, "prefetch": 1, "settle_every": 0}
    with running(Worker(queue, good, monitor=False, on_event=told, **options)):
        eventually(lambda: len(ran) >= 10 and len(told.of(Kind.AWAY)) > 40)
        assert len(ran) < 20  # some were claimed while the tenth was being refused
        job.enqueue()
        eventually(lambda: states(good) == {"succeeded": 1})
        store.name = ""
        eventually(lambda: states(queue) == {"succeeded": 30})
    assert sorted(ran) == list(range(30))


def test_a_queue_that_cannot_be_settled_does_not_stop_another_on_the_same_store():
    store = Picky("bad")
    bad, good = Queue("bad", store), Queue("good", store)
    jobs = {queue: queue.job(lambda number: None, name="job") for queue in (bad, good)}
    bad.enqueue(jobs[bad].job(0))
    with running(Worker(bad, good, monitor=False, grace=0)):
        eventually(lambda: states(bad) == {"running": 1})
        for number in range(20):
            good.enqueue(jobs[good].job(number))
        eventually(lambda: states(good) == {})
        assert states(bad) == {"running": 1}
