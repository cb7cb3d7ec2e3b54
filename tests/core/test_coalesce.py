"""Async callers: one thread pushes what all of them have handed in, and each gets its own answer."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from core.loops import few_threads

from jobcore import EnqueueUncertain, Job, Queue
from jobcore.backend import Push, Pushed
from jobcore.backends.memory import MemoryBackend
from jobcore.errors import ConfigurationError, InvalidArgument, Refused, Unavailable, Uncertain

BOUND = 30


@dataclass(frozen=True)
class Note(Job[object]):
    text: str

    def run(self) -> None:
        """Do nothing: here jobs are only stored."""


class Gated(MemoryBackend):
    """A store whose first push waits until it is let through, so that others gather behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.gate = threading.Event(), threading.Event()
        self.batches: list[tuple[str, list[str]]] = []
        self.fault: Exception | None = None
        self.threads: set[str] = set()

    def push(self, queue: str, pushes: Sequence[Push]) -> list[Pushed]:
        """Wait at the gate, then fail or push."""
        self.threads.add(threading.current_thread().name)
        self.batches.append((queue, [push.id for push in pushes]))
        self.entered.set()
        assert self.gate.wait(BOUND)
        if any(push.id.startswith("unwanted") for push in pushes):
            raise Refused("unwanted")
        if self.fault and len(self.batches) > 1:
            raise self.fault
        return super().push(queue, pushes)


def notes(backend: MemoryBackend, name: str = "notes") -> Queue[None]:
    return Queue(name, backend, jobs=[Note])


async def gather(queue: Queue[None], backend: Gated, ids: Sequence[str]) -> list[Any]:
    """Enqueue under each of the ids, all but the first while the first is on its way."""
    calls = [asyncio.ensure_future(queue.aenqueue(Note(ids[0]), id=ids[0]))]
    await asyncio.to_thread(backend.entered.wait, BOUND)
    calls += [asyncio.ensure_future(queue.aenqueue(Note(id), id=id)) for id in ids[1:]]
    await asyncio.sleep(0)  # each has begun, and handed its job in
    backend.gate.set()
    return await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), BOUND)


def test_concurrent_calls_share_a_round_trip() -> None:
    backend = Gated()
    ids = [str(n) for n in range(100)]
    assert asyncio.run(gather(notes(backend), backend, ids)) == ids
    assert [batch for _, batch in backend.batches] == [ids[:1], ids[1:]]
    assert len(backend.threads) == 1


def test_queues_on_one_store_keep_their_jobs_apart() -> None:
    backend = MemoryBackend()
    first, second = notes(backend, "a"), notes(backend, "b")

    async def both() -> None:
        await asyncio.gather(*(queue.aenqueue(Note(queue.name)) for queue in (first, second) * 20))

    asyncio.run(asyncio.wait_for(both(), BOUND))
    assert (first.jobs(), second.jobs()) == ([Note("a")] * 20, [Note("b")] * 20)


def test_a_large_crowd_goes_in_bounded_batches() -> None:
    backend = Gated()
    ids = [str(n) for n in range(2501)]
    assert asyncio.run(gather(notes(backend), backend, ids)) == ids
    assert [len(batch) for _, batch in backend.batches] == [1, 1000, 1000, 500]


def test_one_callers_refusal_is_its_own() -> None:
    backend = Gated()
    queue = notes(backend)
    answers = asyncio.run(gather(queue, backend, ["first", "a", "unwanted", "b"]))
    assert isinstance(answers.pop(2), Refused)
    assert answers == ["first", "a", "b"]
    assert queue.jobs() == [Note("first"), Note("a"), Note("b")]


def test_a_bad_job_never_reaches_the_batch() -> None:
    backend = Gated()
    answers = asyncio.run(gather(notes(backend), backend, ["first", "a", "b\0", "c"]))
    assert isinstance(answers[2], InvalidArgument)
    assert [batch for _, batch in backend.batches] == [["first"], ["a", "c"]]


def test_each_caller_is_told_its_own_uncertain_ids() -> None:
    backend = Gated()
    backend.fault = Uncertain("no answer")
    answers = asyncio.run(gather(notes(backend), backend, ["first", "a", "b"]))
    assert answers[0] == "first"
    assert [(type(error), error.ids) for error in answers[1:]] == [
        (EnqueueUncertain, ("a",)),
        (EnqueueUncertain, ("b",)),
    ]
    assert [batch for _, batch in backend.batches] == [["first"], ["a", "b"], ["a", "b"]]  # repeated once, together


def test_a_store_that_is_away_is_asked_twice_and_not_once_for_each() -> None:
    backend = Gated()
    backend.fault = Unavailable("away")
    answers = asyncio.run(gather(notes(backend), backend, ["first", "a", "b", "c"]))
    assert [type(answer) for answer in answers] == [str, Unavailable, Unavailable, Unavailable]
    assert len({id(answer) for answer in answers}) == 4  # an exception of its own for each
    assert len(backend.batches) == 3


def test_a_cancelled_call_may_have_stored_its_job_and_harms_no_other() -> None:
    backend = Gated()
    queue = notes(backend)

    async def cancel_one() -> str:
        calls = [asyncio.ensure_future(queue.aenqueue(Note(id), id=id)) for id in ("a", "b")]
        await asyncio.to_thread(backend.entered.wait, BOUND)
        calls[0].cancel()
        backend.gate.set()
        with pytest.raises(asyncio.CancelledError):
            await calls[0]
        return await asyncio.wait_for(calls[1], BOUND)

    assert asyncio.run(cancel_one()) == "b"
    assert queue.jobs() == [Note("a"), Note("b")]


def test_event_loops_in_several_threads_share_it() -> None:
    queue = notes(MemoryBackend())

    async def some(name: str) -> None:
        await asyncio.gather(*(queue.aenqueue(Note(name)) for _ in range(25)))

    threads = [threading.Thread(target=lambda name=name: asyncio.run(some(name))) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOUND)
        assert not thread.is_alive()
    assert len(queue.jobs()) == 100


def test_a_loop_that_has_gone_disturbs_nobody() -> None:
    backend = Gated()
    queue = notes(backend)

    async def leave() -> None:
        call = asyncio.ensure_future(queue.aenqueue(Note("left behind")))
        await asyncio.to_thread(backend.entered.wait, BOUND)
        call.cancel()

    asyncio.run(leave())
    backend.gate.set()
    assert asyncio.run(asyncio.wait_for(queue.aenqueue(Note("next"), id="next"), BOUND)) == "next"
    assert queue.jobs() == [Note("left behind"), Note("next")]


def test_closing_waits_for_what_was_handed_in() -> None:
    backend = Gated()
    queue = notes(backend)

    async def close_behind() -> str:
        call = asyncio.ensure_future(queue.aenqueue(Note("a"), id="a"))
        await asyncio.to_thread(backend.entered.wait, BOUND)
        closing = asyncio.ensure_future(asyncio.to_thread(queue.close))
        backend.gate.set()
        await asyncio.wait_for(closing, BOUND)
        return await call

    assert asyncio.run(close_behind()) == "a"
    assert backend.counts("notes").ready == 1


def test_a_backend_that_cannot_be_opened_is_each_callers_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOBCORE_URL", raising=False)
    queue: Queue[None] = Queue("notes", jobs=[Note])
    for _ in range(2):
        with pytest.raises(ConfigurationError):
            asyncio.run(queue.aenqueue(Note("a")))


def test_where_no_thread_can_start_who_calls_is_told_and_later_ones_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = notes(MemoryBackend())
    few_threads(monkeypatch, "jobcore-enqueue", 1)

    async def enqueue() -> None:
        with pytest.raises(Unavailable, match="thread"):
            await asyncio.wait_for(queue.aenqueue(Note("first")), BOUND)
        assert await asyncio.wait_for(queue.aenqueue(Note("second"), id="second"), BOUND) == "second"

    asyncio.run(enqueue())
    assert queue.counts().ready == 1
    queue.close()
