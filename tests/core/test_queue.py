"""A queue: what it is made of, what it tells, and looking at what it holds."""

import asyncio
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobcore import ExceptionBehavior, Job, LinearBackoff, Queue, State
from jobcore.backend import Answer, Counts, Fail, Keep, Outcome, Push
from jobcore.backends.memory import MemoryBackend
from jobcore.debug import debugger, snapshot
from jobcore.errors import ConfigurationError, InvalidArgument, QueueClosed
from jobcore.events import Event, Kind
from jobcore.testing import START, ManualClock

LEASE = 60_000_000


@dataclass(frozen=True)
class Number(Job[object]):
    n: int

    def run(self) -> None:
        """Do nothing: here jobs are only looked at."""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def queue(clock: ManualClock) -> Iterator[Queue[None]]:
    made: Queue[None] = Queue("numbers", MemoryBackend(clock=clock), jobs=[Number])
    yield made
    made.close()


def settle(queue: Queue[None], clock: ManualClock, *outcomes: Outcome) -> None:
    """Claim jobs and settle them, one after another, a second apart."""
    for number, outcome in enumerate(outcomes):
        claimed = queue.backend.claim(queue.name, 1, LEASE, "tests", number.to_bytes(16), 10**6)
        queue.backend.settle(queue.name, [(claimed.claims[0].hold, outcome)], queue.keep)
        clock.advance(1)


def numbers(queue: Queue[None], count: int) -> list[Number]:
    jobs = [Number(n) for n in range(count)]
    queue.enqueue_many(jobs)
    return jobs


def test_making_one_opens_nothing() -> None:
    def never() -> MemoryBackend:
        pytest.fail("it was opened")

    made: Queue[None] = Queue("q", never)
    assert repr(made) == "<Queue 'q'>"


def test_what_it_says_of_itself() -> None:
    made: Queue[None] = Queue(
        "q", keep_failed=3, keep_succeeded=2, remember=timedelta(hours=1), max_attempts=4, backoff=LinearBackoff(5)
    )
    assert (made.name, made.keep, made.remember) == ("q", Keep(failed=3, succeeded=2), 3600)
    assert (made.policy.max_attempts, made.policy.backoff) == (4, LinearBackoff(5))
    assert made.policy.on_exception is ExceptionBehavior.FAIL


def test_its_logger_is_named_after_it_unless_one_is_chosen() -> None:
    chosen = logging.getLogger("mine")
    assert Queue("q").logger.name == "jobcore.q"
    assert Queue("q", logger=chosen).logger is chosen  # hworker lets you choose


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"name": "a b"}, "queue's name"),
        ({"name": ""}, "queue's name"),
        ({"name": "a" * 201}, "queue's name"),
        ({"name": 3}, "queue's name"),
        ({"keep_failed": -1}, "keep_failed"),
        ({"keep_failed": None}, "keep_failed"),
        ({"keep_faild": 3}, "did you mean .keep_failed.?"),
        ({"keep_succeeded": 1.5}, "keep_succeeded"),
        ({"remember": -1}, "remember"),
        ({"max_payload": -1}, "max_payload"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"timeout": -1}, "timeout"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidArgument, match=says):
        Queue(**{"name": "q", **options})


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"state": 3, "lifespan": contextmanager(lambda: iter([3]))}, "exclude"),
        ({"lifespan": 3}, "lifespan is a function"),
        ({"backend": 3}, "a backend is a URL"),
    ],
)
def test_a_bad_setting_is_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        Queue("q", **options)


def test_jobs_are_those_that_are_ready_in_their_order(queue: Queue[None]) -> None:  # hworker's `jobs`
    queue.enqueue(Number(1))
    queue.enqueue(Number(2), priority=5)
    queue.enqueue(Number(3), delay=60)
    assert queue.jobs() == [Number(2), Number(1)]
    assert queue.jobs(1) == [Number(2)]
    assert queue.counts() == Counts(ready=2, scheduled=1)


def test_listings_go_on_over_pages(queue: Queue[None]) -> None:
    jobs = numbers(queue, 1201)
    assert queue.jobs() == jobs


def test_running_gives_what_is_being_run(queue: Queue[None]) -> None:
    numbers(queue, 3)
    queue.backend.claim("numbers", 2, LEASE, "tests", bytes(16), 10**6)
    assert (queue.running(), queue.jobs()) == ([Number(0), Number(1)], [Number(2)])


def test_failed_gives_failed_and_timed_out_ones_newest_first(queue: Queue[None], clock: ManualClock) -> None:
    numbers(queue, 4)
    settle(queue, clock, Fail(), Fail(State.TIMED_OUT), Fail(), Fail(State.BROKEN))
    assert queue.failed() == [Number(2), Number(1), Number(0)]
    assert queue.failed(2) == [Number(2), Number(1)]


def test_broken_gives_bytes_and_when(queue: Queue[None], clock: ManualClock) -> None:  # hworker's `broken`
    for payload in (b"no job", b"\xff"):
        queue.backend.push("numbers", [Push(payload.hex(), payload)])
    settle(queue, clock, Fail(State.BROKEN), Fail(State.BROKEN))
    start = datetime.fromtimestamp(START / 1e6, UTC)
    assert queue.broken() == [(b"\xff", start + timedelta(seconds=1)), (b"no job", start)]


def test_what_does_not_decode_is_passed_over_and_seen_by_entries(queue: Queue[None]) -> None:
    queue.backend.push("numbers", [Push("bad", b"no job")])
    queue.enqueue(Number(1))
    assert queue.jobs() == [Number(1)]
    assert queue.entries("ready").entries[0].id == "bad"


def test_find_gives_all_that_is_known(queue: Queue[None], clock: ManualClock) -> None:
    id = queue.enqueue(Number(1), priority=7)
    settle(queue, clock, Fail(reason="no such number"))
    entry = queue.find(id)
    assert entry is not None
    assert (entry.state, entry.reason, entry.attempt, entry.priority) == (State.FAILED, "no such number", 1, 7)
    assert queue.find("another") is None


def test_entries_come_in_pages(queue: Queue[None]) -> None:
    numbers(queue, 5)
    seen, after = [], None
    while True:
        page = queue.entries(State.READY, limit=2, after=after)
        seen.append(len(page.entries))
        after = page.next
        if after is None:
            break
    assert sum(seen) == 5
    assert max(seen) == 2


@pytest.mark.parametrize(("state", "limit"), [("late", 1), (None, 1), ("ready", 0), ("ready", -1), ("ready", "3")])
def test_bad_states_and_limits_are_refused(queue: Queue[None], state: Any, limit: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"state|limit"):
        queue.entries(state, limit)


def test_redrive_and_remove_answer_for_each(queue: Queue[None], clock: ManualClock) -> None:
    first, second = (queue.enqueue(Number(n)) for n in range(2))
    settle(queue, clock, Fail())
    assert queue.redrive([first, second, "none"]) == [Answer.DONE, Answer.WRONG_STATE, Answer.MISSING]
    assert queue.remove(iter([first, "none"])) == [Answer.DONE, Answer.MISSING]
    assert queue.jobs() == [Number(1)]


def test_a_bare_id_is_not_taken_for_a_list(queue: Queue[None]) -> None:
    for verb in (queue.redrive, queue.remove):
        with pytest.raises(InvalidArgument, match=r"write \['abc'\]"):
            verb("abc")


def test_destroy_leaves_nothing(queue: Queue[None]) -> None:  # hworker's `destroy`
    numbers(queue, 3)
    queue.enqueue(Number(4), id="mine")
    queue.destroy()
    assert queue.counts() == Counts()
    assert queue.enqueue_many([Number(4)], ids=["mine"])[0].created


def test_a_closed_queue_says_so(queue: Queue[None]) -> None:
    queue.enqueue(Number(1))
    queue.close()
    queue.close()
    for verb in (queue.counts, queue.jobs, lambda: queue.enqueue(Number(1)), lambda: asyncio.run(aenqueue(queue))):
        with pytest.raises(QueueClosed):
            verb()


async def aenqueue(queue: Queue[None]) -> str:
    return await queue.aenqueue(Number(1))


def test_closing_closes_what_the_queue_opened_and_not_what_it_was_given() -> None:
    given, opened = MemoryBackend(), MemoryBackend()
    for source in (given, lambda: opened):
        made: Queue[None] = Queue("q", source, jobs=[Number])
        made.enqueue(Number(1))
        made.close()
    assert given.counts("q").ready == 1
    with pytest.raises(QueueClosed):
        opened.counts("q")


def test_events_tell_of_pushes_and_duplicates() -> None:
    told: list[Event] = []
    made: Queue[None] = Queue("q", "memory://", jobs=[Number], on_event=told.extend)
    made.enqueue(Number(1), id="mine")
    asyncio.run(twice(made))
    made.enqueue_named("Fax", {}, id="fax")
    made.close()  # hands over what waits
    assert [(event.kind, event.queue, event.id, event.name) for event in told] == [
        (Kind.PUSHED, "q", "mine", "Number"),
        (Kind.DUPLICATE, "q", "mine", "Number"),
        (Kind.PUSHED, "q", "other", "Number"),
        (Kind.PUSHED, "q", "fax", "Fax"),
    ]


async def twice(queue: Queue[None]) -> None:
    await queue.aenqueue_many([Number(1), Number(2)], ids=["mine", "other"])


def test_several_may_listen() -> None:
    told: list[Sequence[Event]] = []
    made: Queue[None] = Queue("q", "memory://", jobs=[Number], on_event=[told.append, told.append])
    made.enqueue(Number(1))
    made.close()
    assert len(told) == 2


def test_the_debugger_prints_the_queue_until_it_is_stopped(queue: Queue[None]) -> None:  # hworker's `debugger`
    numbers(queue, 12)
    queue.backend.claim("numbers", 1, LEASE, "tests", bytes(16), 10**6)
    stop, printed = threading.Event(), []

    def write(text: str) -> None:
        printed.append(text)
        if len(printed) == 3:
            stop.set()

    debugger(queue, 0.001, stop=stop, write=write)
    assert printed == [snapshot(queue)] * 3
    lines = printed[0].splitlines()
    assert lines[0] == "numbers: ready=11 running=1"
    assert lines[1].split() == ["ready", "Number(n=1)"]
    assert lines[-1].split() == ["running", "Number(n=0)"]
    assert len(lines) == 1 + 10 + 1


def test_the_debugger_shows_what_this_program_does_not_know_as_it_is_stored() -> None:
    queue: Queue[None] = Queue("unknown", "memory://")
    queue.backend.push("unknown", [Push("a", b'{"job":"Send","args":{}}'), Push("b", b"\x1b[2J" + bytes(10**6))])
    _, known_elsewhere, rubbish = snapshot(queue).splitlines()
    assert known_elsewhere == '  ready    {"job":"Send","args":{}}'
    assert rubbish.startswith(r"  ready    b'\x1b[2J")
    assert len(rubbish) < 1000


def test_a_debugger_that_never_rests_is_refused(queue: Queue[None]) -> None:
    with pytest.raises(InvalidArgument, match="interval is more than 0 seconds"):
        debugger(queue, 0.0)


def test_an_empty_queue_is_called_so(queue: Queue[None]) -> None:
    assert snapshot(queue) == "numbers: empty"
