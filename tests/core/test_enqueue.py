"""Enqueuing: what is stored, what bad input gets before anything is, and what is known when the store goes away."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import psycopg
import pytest

from jobcore import EnqueueUncertain, Job, JobcoreError, Queue, State
from jobcore.backend import Push, Pushed
from jobcore.backends.memory import MemoryBackend
from jobcore.errors import (
    BackendError,
    ConfigurationError,
    InvalidArgument,
    Refused,
    Unavailable,
    Uncertain,
    UnknownJob,
)
from jobcore.pushing import new_ids
from jobcore.testing import START, ManualClock

SECOND = 1_000_000


@dataclass(frozen=True)
class Email(Job[object]):
    to: str

    def run(self) -> None:
        """Do nothing: here jobs are only stored."""


class Faulty(MemoryBackend):
    """A store whose pushes fare as they are told to, one after another, and then well."""

    def __init__(self, *faults: str) -> None:
        super().__init__(clock=ManualClock())
        self.faults = list(faults)
        self.pushed: list[list[str]] = []

    def push(self, queue: str, pushes: Sequence[Push]) -> list[Pushed]:
        """Push, or not, and answer, or not."""
        self.pushed.append([push.id for push in pushes])
        match self.faults.pop(0) if self.faults else "":
            case "away":
                raise Unavailable("the store is away")
            case "refused":
                raise Refused("out of memory")
            case "lost":
                raise Uncertain("no answer")
            case "unanswered":
                super().push(queue, pushes)
                raise Uncertain("no answer")
        return super().push(queue, pushes)


def emails(backend: MemoryBackend | None = None, **options: Any) -> Queue[None]:
    return Queue("mail", backend or MemoryBackend(clock=ManualClock()), jobs=[Email], **options)


def test_a_job_is_stored_under_the_id_that_is_returned() -> None:
    queue = emails()
    id = queue.enqueue(Email("a"))
    entry = queue.find(id)
    assert entry is not None
    assert (entry.state, entry.payload) == (State.READY, b'{"job":"Email","args":{"to":"a"}}')
    assert queue.jobs() == [Email("a")]


def test_made_up_ids_are_short_distinct_and_sort_by_time() -> None:
    queue = emails()
    ids = [queue.enqueue(Email("a")) for _ in range(1000)]
    assert {len(id) for id in ids} == {26}
    assert len(set(ids)) == 1000
    assert [id[:13] for id in ids] == sorted(id[:13] for id in ids)


def test_made_up_ids_of_a_batch_are_distinct_whatever_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    for drawn in (lambda bits: 0, lambda bits: 2**bits - 1):
        monkeypatch.setattr("jobcore.pushing.getrandbits", drawn)
        ids = new_ids(1000)
        assert ids == sorted(set(ids))
        assert {len(id) for id in ids} == {26}


def test_many_are_stored_in_one_round_trip_in_their_order() -> None:
    backend = Faulty()
    queue = emails(backend)
    jobs = [Email(str(n)) for n in range(100)]
    pushed = queue.enqueue_many(iter(jobs))
    assert queue.jobs() == jobs
    assert [[each.id for each in pushed]] == backend.pushed
    assert {(each.created, each.state) for each in pushed} == {(True, State.READY)}


def test_many_of_none_are_none() -> None:
    assert emails().enqueue_many([]) == []


def test_a_chosen_id_stores_once_and_says_so() -> None:
    queue = emails()
    assert queue.enqueue(Email("a"), id="welcome:a") == queue.enqueue(Email("b"), id="welcome:a") == "welcome:a"
    assert queue.jobs() == [Email("a")]
    pushed = queue.enqueue_many([Email("c"), Email("d")], ids=["welcome:a", "welcome:d"])
    assert [(each.id, each.created) for each in pushed] == [("welcome:a", False), ("welcome:d", True)]


def test_a_chosen_id_is_remembered_and_a_made_up_one_is_not() -> None:
    clock = ManualClock()
    queue = emails(MemoryBackend(clock=clock), remember=timedelta(seconds=59.5))
    made_up = queue.enqueue(Email("a"))
    queue.enqueue(Email("a"), id="mine")
    queue.remove([made_up, "mine"])
    assert queue.enqueue_many([Email("a")], ids=["mine"]) == [Pushed("mine", created=False, state=None)]
    assert queue.enqueue_many([Email("a")], ids=[made_up])[0].created
    clock.advance(60)  # rounded up to whole seconds
    assert queue.enqueue_many([Email("a")], ids=["mine"])[0].created


@pytest.mark.parametrize(
    ("delay", "place"),
    [
        (0, 0),
        (60, 60 * SECOND),
        (0.5, SECOND // 2),
        (timedelta(hours=1), 3600 * SECOND),
        (1e-7, 1),  # rounded up to a microsecond
        (0.1 + 0.2, 300_000),  # and not beyond by what floats lack
    ],
)
def test_a_delay_is_seconds_or_a_timedelta(delay: float | timedelta, place: int) -> None:
    queue = emails()
    entry = queue.find(queue.enqueue(Email("a"), delay=delay))
    assert entry is not None
    assert entry.place == START + place
    assert entry.state == (State.SCHEDULED if place else State.READY)


def test_run_at_is_an_aware_datetime_to_the_microsecond() -> None:
    queue = emails()
    at = datetime(2030, 1, 2, 3, 4, 5, 678_901, timezone(timedelta(hours=5, minutes=30)))
    entry = queue.find(queue.enqueue(Email("a"), run_at=at))
    assert entry is not None
    assert datetime.fromtimestamp(entry.place // SECOND, UTC) + timedelta(microseconds=678_901) == at


def test_a_run_at_that_has_passed_means_now() -> None:
    queue = emails()
    for at in (datetime(1950, 1, 1, tzinfo=UTC), datetime(2001, 1, 1, tzinfo=UTC)):
        entry = queue.find(queue.enqueue(Email("a"), run_at=at))
        assert entry is not None
        assert (entry.state, entry.place) == (State.READY, START)


def test_higher_priority_goes_first() -> None:
    queue = emails()
    for priority in (-100, 100, 0):
        queue.enqueue(Email(str(priority)), priority=priority)
    assert queue.jobs() == [Email("100"), Email("0"), Email("-100")]


NOW = datetime(2026, 1, 1, tzinfo=UTC)

BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a negative delay": ({"delay": -1}, "delay"),
    "a delay of another type": ({"delay": "60"}, "delay"),
    "a delay that is no number": ({"delay": float("nan")}, "delay"),
    "a delay for ever": ({"delay": float("inf")}, "delay"),
    "a delay beyond all calendars": ({"delay": 1e300}, "delay"),
    "a naive run_at": ({"run_at": datetime(2026, 1, 1)}, "time zone"),  # noqa: DTZ001 -- naive is the point
    "a run_at of another type": ({"run_at": 3}, "time zone"),
    "both": ({"delay": 1, "run_at": NOW}, "exclude"),
    "a priority too high": ({"priority": 101}, "priority"),
    "a priority too low": ({"priority": -101}, "priority"),
    "a priority of another type": ({"priority": 1.5}, "priority"),
    "an empty id": ({"id": ""}, "id"),
    "a long id": ({"id": "é" * 101}, "id"),
    "control characters in an id": ({"id": "a\nb"}, "id"),
    "a lone surrogate in an id": ({"id": "\ud800"}, "id"),
    "an id of another type": ({"id": 3}, "id"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_arguments_are_refused_before_anything_is_stored(what: str) -> None:
    options, says = BAD[what]
    queue = emails()
    with pytest.raises(InvalidArgument, match=says):
        queue.enqueue(Email("a"), **options)
    assert queue.counts().ready == queue.counts().scheduled == 0


@pytest.mark.parametrize("what", BAD)
def test_async_callers_are_refused_the_same_before_they_share_a_batch(what: str) -> None:
    options, says = BAD[what]
    queue = emails()
    with pytest.raises(InvalidArgument, match=says):
        asyncio.run(queue.aenqueue(Email("a"), **options))
    assert queue.counts().ready == queue.counts().scheduled == 0


def test_one_bad_job_of_many_has_none_stored() -> None:
    queue = emails()
    wrong: Any = Email(3)  # type: ignore[arg-type]  # that it is refused is the point
    with pytest.raises(InvalidArgument):
        queue.enqueue_many([Email("a"), wrong])
    with pytest.raises(InvalidArgument):
        queue.enqueue_many([Email("a"), Email("b")], ids=["fine", "not\0fine"])
    assert queue.jobs() == []


@pytest.mark.parametrize("ids", [[], ["one"], ["one", "two", "three"], "ab", iter(["one", "two"]), 2])
def test_there_is_one_id_for_each_job(ids: Any) -> None:
    with pytest.raises(InvalidArgument, match="one id for each of the 2 jobs"):
        emails().enqueue_many([Email("a"), Email("b")], ids=ids)


def test_a_payload_over_the_limit_is_refused() -> None:
    queue = emails()
    overhead = len(b'{"job":"Email","args":{"to":""}}')
    queue.enqueue(Email("x" * (2**20 - overhead)))
    with pytest.raises(InvalidArgument, match="Email is 1048577 bytes as JSON; queue 'mail' takes 1048576"):
        queue.enqueue(Email("x" * (2**20 - overhead + 1)))
    with pytest.raises(InvalidArgument, match="takes 40"):
        emails(max_payload=40).enqueue(Email("x" * 20))


def test_a_job_of_an_unknown_type_is_refused() -> None:
    with pytest.raises(UnknownJob, match="queue 'mail' has no job dict; it has: Email"):
        emails().enqueue({"to": "a"})  # type: ignore[arg-type]  # that it is refused is the point


def test_by_name_it_needs_no_class() -> None:
    queue: Queue[None] = Queue("mail", MemoryBackend())
    entry = queue.find(queue.enqueue_named("Email", {"to": "a", "at": NOW}, id="mine", priority=3))
    assert entry is not None
    assert entry.payload == b'{"job":"Email","args":{"to":"a","at":"2026-01-01T00:00:00Z"}}'
    assert (entry.id, entry.priority) == ("mine", 3)


def test_by_name_it_must_fit_a_class_that_is_known() -> None:
    queue = emails()
    queue.enqueue_named("Email", {"to": "a"})
    assert queue.jobs() == [Email("a")]
    with pytest.raises(InvalidArgument, match=r"Email: .*\$.to"):
        queue.enqueue_named("Email", {"to": 3})


def test_by_name_bad_names_and_args_are_refused() -> None:
    queue = emails()
    for name in ("", "a b", "a" * 201, 'x","args":{}}'):
        with pytest.raises(InvalidArgument, match="name is 1 to 200"):
            queue.enqueue_named(name, {})
    with pytest.raises(InvalidArgument, match="args of Fax"):
        queue.enqueue_named("Fax", {"to": object()})
    with pytest.raises(InvalidArgument, match="args of Fax"):
        queue.enqueue_named("Fax", 3)  # type: ignore[arg-type]  # that it is refused is the point
    assert queue.counts().ready == 0


def test_a_store_that_is_back_at_once_is_not_noticed() -> None:
    for fault in ("away", "lost", "unanswered"):
        backend = Faulty(fault)
        queue = emails(backend)
        pushed = queue.enqueue_many([Email("a"), Email("b")])
        assert [each.created for each in pushed] == [True, True]  # the ids are ours: the first try stored them
        assert queue.jobs() == [Email("a"), Email("b")]
        assert backend.pushed[0] == backend.pushed[1]


def test_a_store_that_stays_away_was_never_asked() -> None:
    queue = emails(Faulty("away", "away"))
    with pytest.raises(Unavailable):
        queue.enqueue(Email("a"))
    assert queue.jobs() == []


@pytest.mark.parametrize(
    "faults", [("lost", "lost"), ("unanswered", "away"), ("away", "unanswered"), ("unanswered", "refused")]
)
def test_where_it_cannot_be_known_the_ids_are_told(faults: tuple[str, str]) -> None:
    backend = Faulty(*faults)
    queue = emails(backend)
    with pytest.raises(EnqueueUncertain) as caught:
        queue.enqueue_many([Email("a"), Email("b")])
    assert list(caught.value.ids) == backend.pushed[0]
    assert not isinstance(caught.value, BackendError)
    queue.enqueue_many([Email("a"), Email("b")], ids=caught.value.ids)  # repeating does no harm
    assert queue.jobs() == [Email("a"), Email("b")]


@pytest.mark.parametrize(
    ("error", "raised"), [(Unavailable("no way"), Unavailable), (Uncertain("no"), EnqueueUncertain)]
)
def test_a_store_that_was_waited_for_is_not_waited_for_again(
    error: BackendError, raised: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`enqueue` gives up within the driver's timeout, not within twice that."""
    clock, tries = [0.0], list[str]()
    monkeypatch.setattr("jobcore.clocks.steady", lambda: clock[0])

    def push(queue: str, _pushes: Sequence[Push]) -> list[Pushed]:
        tries.append(queue)
        clock[0] += 10
        raise error

    backend = MemoryBackend()
    monkeypatch.setattr(backend, "push", push)
    with pytest.raises(raised, match="no"):
        emails(backend).enqueue(Email("a"))
    assert tries == ["mail"]


def test_an_error_that_nobody_foresaw_is_uncertain_and_says_what_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = MemoryBackend()
    real = backend.push

    def push(queue: str, pushes: Sequence[Push]) -> list[Pushed]:
        real(queue, pushes)
        raise RuntimeError("a surprise")

    monkeypatch.setattr(backend, "push", push)
    queue = emails(backend)
    with pytest.raises(EnqueueUncertain, match="RuntimeError of the store's client: a surprise") as caught:
        queue.enqueue(Email("a"), id="mine")
    assert caught.value.ids == ("mine",)
    monkeypatch.undo()
    queue.enqueue(Email("a"), id="mine")
    assert queue.jobs() == [Email("a")]


def test_a_refusal_is_not_repeated() -> None:
    backend = Faulty("refused")
    with pytest.raises(Refused):
        emails(backend).enqueue(Email("a"))
    assert len(backend.pushed) == 1


class Joining(MemoryBackend):
    """A store that takes part in transactions: a list is what stands for one."""

    def join(self, connection: list[Push], queue: str, pushes: Sequence[Push]) -> list[Pushed]:
        """Push within it."""
        if connection is LOST:
            raise Uncertain("no answer")
        connection += pushes
        return [Pushed(push.id, created=True, state=State.READY) for push in pushes]

    async def ajoin(self, connection: list[Push], queue: str, pushes: Sequence[Push]) -> list[Pushed]:
        """The same."""
        return self.join(connection, queue, pushes)


LOST: list[Push] = []


def test_a_connection_has_the_job_pushed_in_its_transaction() -> None:
    queue = emails(Joining())
    transaction: list[Push] = []
    id = queue.enqueue(Email("a"), id="mine", delay=3, connection=transaction)
    queue.enqueue_many([Email("b")], connection=transaction)
    queue.enqueue_named("Email", {"to": "c"}, connection=transaction)
    assert (id, len(transaction), queue.jobs()) == ("mine", 3, [])
    assert (transaction[0].delay, transaction[0].remember) == (3 * SECOND, 86400)


async def join_async(queue: Queue[None], connection: object) -> str:
    return await queue.aenqueue(Email("a"), id="mine", connection=connection)


def test_an_async_connection_too() -> None:
    transaction: list[Push] = []
    assert asyncio.run(join_async(emails(Joining()), transaction)) == transaction[0].id == "mine"
    with pytest.raises(EnqueueUncertain):
        asyncio.run(join_async(emails(Joining()), LOST))


def test_a_lost_answer_within_a_transaction_is_uncertain() -> None:
    with pytest.raises(EnqueueUncertain) as caught:
        emails(Joining()).enqueue(Email("a"), id="mine", connection=LOST)
    assert caught.value.ids == ("mine",)


def test_a_backend_that_cannot_join_says_so() -> None:
    with pytest.raises(ConfigurationError, match="MemoryBackend can't push in a transaction"):
        emails().enqueue(Email("a"), connection=object())


def test_all_refusals_are_of_one_hierarchy() -> None:
    for kind in (InvalidArgument, ConfigurationError, UnknownJob, Unavailable, Refused, EnqueueUncertain):
        assert issubclass(kind, JobcoreError)


def test_a_job_is_stored_with_the_callers_data_or_not_at_all(postgres_url: str) -> None:
    queue: Queue[None] = Queue("joined", postgres_url, jobs=[Email])
    with psycopg.connect(postgres_url) as connection:
        queue.enqueue(Email("kept"), connection=connection)
        assert queue.jobs() == []  # not before it commits
        connection.commit()
        queue.enqueue(Email("undone"), connection=connection)
        connection.rollback()
    assert queue.jobs() == [Email("kept")]
    asyncio.run(join_and_commit(queue, postgres_url))
    assert queue.jobs() == [Email("kept"), Email("a")]
    queue.destroy()
    queue.close()


async def join_and_commit(queue: Queue[None], url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await join_async(queue, connection)
        await connection.commit()


@pytest.mark.parametrize("when", [{"delay": 1e11}, {"run_at": datetime(9999, 1, 1, tzinfo=UTC)}])
def test_a_time_beyond_what_stores_count_is_refused_with_the_unit_of_its_limit(when: dict[str, Any]) -> None:
    queue: Queue[None] = Queue("q", "memory://")

    @queue.job
    def work() -> None: ...

    with pytest.raises(InvalidArgument, match=r"^(delay|run_at), in microseconds, is a whole number"):
        queue.enqueue(work.job(), **when)
