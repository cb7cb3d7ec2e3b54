"""Telling: what happens, in order, to listeners that may be slow or broken; and to the log, within bounds."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Any

import pytest
from core.loops import Faulty, Told, eventually, running, states, threads

from jobcore.events import LEVELS, Event, Kind, LogListener, Teller, describe
from jobcore.job import Failure, LinearBackoff, Retry
from jobcore.queue import Queue
from jobcore.worker import Worker


def run_all(queue: Queue[Any], **options: Any) -> None:
    Worker(queue, monitor=False, **options).run(until_empty=True)


def test_the_story_of_a_job_is_told_in_order():
    told = Told()
    queue = Queue("q", "memory://", on_event=told, max_attempts=2, backoff=LinearBackoff(0))

    @queue.job
    def work(way: str) -> Any:
        if way == "error":
            raise ValueError("what")
        return {"retry": Retry("busy"), "failure": Failure("no")}.get(way)

    ids = {way: work.enqueue(way) for way in ("well", "retry", "failure", "error")}
    queue.enqueue(work.job("well"), id="mine")
    queue.enqueue(work.job("well"), id="mine")
    eventually(lambda: len(told) == 6)
    run_all(queue)
    eventually(lambda: len(told) == 18)
    assert told.kinds(ids["well"]) == [Kind.PUSHED, Kind.STARTED, Kind.SUCCEEDED]
    assert told.kinds(ids["retry"]) == [Kind.PUSHED, Kind.STARTED, Kind.RETRIED, Kind.STARTED, Kind.FAILED]
    assert told.kinds(ids["failure"]) == [Kind.PUSHED, Kind.STARTED, Kind.FAILED]
    assert told.kinds(ids["error"]) == [Kind.PUSHED, Kind.STARTED, Kind.FAILED]
    assert told.kinds("mine") == [Kind.PUSHED, Kind.DUPLICATE, Kind.STARTED, Kind.SUCCEEDED]


def test_events_wait_while_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch):
    told, events = Told(), [Event(Kind.RECOVERED, "q", f"{n}") for n in range(2)]
    teller = Teller([told])
    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", refuse)
        teller.tell(events[:1])
    teller.tell(events[1:])
    teller.close()
    assert list(told) == events


def refuse(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_an_event_says_what_which_when_and_why():
    told = Told()
    queue = Queue("q", "memory://", max_attempts=1)

    @queue.job
    def work() -> Any:
        return Retry("busy")

    id = work.enqueue()
    run_all(queue, on_event=told)
    started, failed = told
    assert (started.kind, started.id, started.name, started.queue, started.attempt) == ("started", id, "work", "q", 1)
    assert (failed.kind, failed.reason, failed.attempt, failed.lost) == ("failed", "busy", 1, 0)
    assert failed.seconds is not None
    assert started.at <= failed.at


def test_that_a_job_has_begun_is_told_while_it_runs():
    told, release = Told(), threading.Event()
    queue = Queue("q", "memory://")

    @queue.job
    def long() -> None:
        release.wait(20)

    with running(Worker(queue, monitor=False, on_event=told)):
        eventually(lambda: "jobcore-wait" in threads())
        long.enqueue()
        eventually(lambda: told.kinds() == [Kind.STARTED])
        release.set()


def test_a_listener_of_a_queue_hears_of_that_queue_alone():
    told, all_told = Told(), Told()
    one, other = Queue("one", "memory://", on_event=told), Queue("other", "memory://")
    for queue in (one, other):

        @queue.job
        def work() -> None: ...

        work.enqueue()
    Worker(one, other, on_event=[all_told]).run(until_empty=True)
    eventually(lambda: len(told) == 3)
    assert {event.queue for event in told} == {"one"}
    assert {event.queue for event in all_told} == {"one", "other"}


@pytest.mark.parametrize("error", [ValueError("deaf"), SystemExit(1), KeyboardInterrupt()])
def test_a_listener_that_raises_stops_nothing(error: BaseException, caplog: pytest.LogCaptureFixture):
    told = Told()

    def broken(events: Sequence[Event]) -> None:
        raise error

    teller = Teller([broken, told])
    for number in range(3):
        teller.tell([Event(Kind.PUSHED, "q", str(number))])
    teller.close()
    assert [event.id for event in told] == ["0", "1", "2"]
    assert caplog.text.count("a listener for events failed") == 3


def test_a_slow_listener_holds_up_nobody_and_what_is_dropped_is_counted(caplog: pytest.LogCaptureFixture):
    told, release, hears = Told(), threading.Event(), threading.Event()

    def slow(events: Sequence[Event]) -> None:
        hears.set()
        release.wait(20)
        told(events)

    teller = Teller([slow], bound=10)
    teller.tell([Event(Kind.PUSHED, "q", "first")])
    assert hears.wait(20)
    for number in range(20):
        teller.tell([Event(Kind.PUSHED, "q", f"{number} {part}") for part in range(2)])
    release.set()
    teller.close()
    assert [event.id for event in told] == [
        "first",
        *(f"{number} {part}" for number in range(15, 20) for part in (0, 1)),
    ]
    assert "30 events were dropped" in caplog.text


def test_closing_hands_over_what_waits_and_ends_the_thread():
    told = Told()
    teller = Teller([told])
    for number in range(100):
        teller.tell([Event(Kind.PUSHED, "q", str(number))])
    teller.close()
    assert len(told) == 100
    teller.tell([Event(Kind.PUSHED, "q")])
    assert len(told) == 100
    eventually(lambda: "jobcore-events" not in threads())


def test_its_thread_ends_when_nothing_has_happened_for_a_while(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("jobcore.events._LINGER_SECONDS", 0.01)
    told = Told()
    teller = Teller([told])
    for number in range(3):
        teller.tell([Event(Kind.PUSHED, "q", str(number))])
        eventually(lambda number=number: len(told) == number + 1)
        eventually(lambda: "jobcore-events" not in threads())


def test_no_events_are_made_of_what_begins_unless_somebody_listens():
    queue = Queue("q", "memory://")

    @queue.job
    def work() -> None: ...

    worker = Worker(queue, monitor=False)
    worker.step()
    assert worker._shift.movers[0].lanes[0].begun is None
    worker.stop()


def test_trouble_is_logged_at_its_level_and_routine_at_debug(caplog: pytest.LogCaptureFixture):
    logger = logging.getLogger("tests.levels")
    caplog.set_level(logging.DEBUG, "tests.levels")
    listener = LogListener({"q": logger})
    for kind in Kind:
        listener([Event(kind, "q", "id")])
    assert [record.levelno for record in caplog.records] == [LEVELS.get(kind, logging.DEBUG) for kind in Kind]
    assert LEVELS[Kind.FAILED] == LEVELS[Kind.AWAY] == logging.ERROR
    assert LEVELS[Kind.RETRIED] == logging.WARNING
    assert {Kind.STARTED, Kind.SUCCEEDED, Kind.PUSHED}.isdisjoint(LEVELS)


def test_what_comes_in_floods_is_logged_once_a_second_and_the_rest_counted(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    now = [100.0]
    monkeypatch.setattr("jobcore.events.time.monotonic", lambda: now[0])
    listener = LogListener({"q": logging.getLogger("tests.floods")})
    away = Event(Kind.AWAY, "q", reason="gone")
    listener([away] * 5)
    now[0] += 0.99
    listener([away])
    now[0] += 0.02
    listener([away, Event(Kind.AWAY, "other", reason="gone")])
    assert [record.message for record in caplog.records] == ["away: gone", "away: gone (and 5 more)", "away: gone"]


def test_each_jobs_own_trouble_is_logged_however_often(caplog: pytest.LogCaptureFixture):
    LogListener({"q": logging.getLogger("tests.each")})([Event(Kind.FAILED, "q", str(number)) for number in range(9)])
    assert len(caplog.records) == 9


def test_events_of_a_queue_go_to_its_own_logger(caplog: pytest.LogCaptureFixture):
    queue = Queue("q", Faulty(), logger=logging.getLogger("app.jobs"))

    @queue.job
    def work() -> Any:
        return Failure("no")

    work.enqueue()
    run_all(queue)
    assert states(queue) == {"failed": 1}
    assert [record.name for record in caplog.records] == ["app.jobs"]


def test_a_line_of_the_log_holds_all_that_is_known():
    event = Event(Kind.FAILED, "q", "id", "work", 0.0, attempt=2, lost=1, seconds=0.25, reason="no")
    assert describe(event) == "failed work id attempt 2 lost 1 after 0.250 s: no"
    assert describe(Event(Kind.BACK, "q")) == "back"


def test_a_success_that_nobody_hears_of_is_told_to_nobody():
    quiet = logging.getLogger("tests.quiet")
    quiet.setLevel(logging.INFO)
    queue = Queue("q", "memory://", logger=quiet)
    seen: list[bool] = []

    @queue.job
    def work() -> None:
        seen.append("jobcore-events" in threads())

    work.enqueue()
    work.enqueue()
    worker = Worker(queue, concurrency=1, limits={"q": 1})
    assert worker.step() == worker.step() == 1
    worker.stop()
    assert seen == [False, False]
