"""`using`: another backend and state for a test, for the whole process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from jobcore import Job, Queue, Worker
from jobcore.backend import Backend
from jobcore.backends.memory import MemoryBackend
from jobcore.errors import ConfigurationError, QueueClosed


@dataclass(frozen=True)
class Note(Job[list[str]]):
    text: str

    def run(self, notes: list[str]) -> None:
        notes.append(self.text)


def notes(**options: Any) -> Queue[list[str]]:
    options = {"state": []} | options
    return Queue("notes", "memory://", jobs=[Note], **options)


def test_it_replaces_backend_and_state_for_as_long_as_it_lasts() -> None:
    own: list[str] = []
    fake: list[str] = []
    queue = notes(state=own)
    queue.enqueue(Note("kept"))
    with queue.using("memory://", state=fake) as same:
        assert same is queue
        queue.enqueue(Note("hello"))
        assert queue.jobs() == [Note("hello")]
        Worker(queue).run(until_empty=True)
    assert (own, fake, queue.jobs()) == ([], ["hello"], [Note("kept")])


def test_without_a_state_the_queues_own_stays() -> None:
    own: list[str] = []
    queue = notes(state=own)
    with queue.using("memory://"):
        queue.enqueue(Note("hello"))
        Worker(queue).run(until_empty=True)
    assert own == ["hello"]


def test_a_state_replaces_a_lifespan_and_the_reverse() -> None:
    entered: list[str] = []

    @contextmanager
    def lifespan() -> Iterator[list[str]]:
        yield entered

    fake: list[str] = []
    queue = notes(state=None, lifespan=lifespan)
    with queue.using("memory://", state=fake):
        queue.enqueue(Note("to the fake"))
        Worker(queue).run(until_empty=True)
        with queue.using("memory://", lifespan=lifespan):
            queue.enqueue(Note("to the lifespan's"))
            Worker(queue).run(until_empty=True)
    assert (fake, entered) == (["to the fake"], ["to the lifespan's"])
    with pytest.raises(ConfigurationError, match="exclude"), queue.using("memory://", state=fake, lifespan=lifespan):
        pass


def test_it_nests() -> None:
    queue = notes()
    with queue.using("memory://"):
        queue.enqueue(Note("outer"))
        with queue.using("memory://"):
            assert queue.jobs() == []
            queue.enqueue(Note("inner"))
        assert queue.jobs() == [Note("outer")]
    assert queue.jobs() == []


def test_it_ends_in_any_order_and_by_an_exception() -> None:
    queue = notes()
    first, second = queue.using("memory://"), queue.using("memory://")
    first.__enter__()
    second.__enter__()
    queue.enqueue(Note("second"))
    first.__exit__(None, None, None)
    assert queue.jobs() == [Note("second")]
    assert not second.__exit__(KeyError, KeyError(), None)  # the exception goes on
    assert queue.jobs() == []


def test_it_holds_for_all_threads() -> None:
    queue = notes()
    with queue.using("memory://"):
        thread = threading.Thread(target=queue.enqueue, args=[Note("hello")])
        thread.start()
        thread.join()
        assert queue.jobs() == [Note("hello")]


def test_a_worker_keeps_what_it_was_made_with() -> None:
    fake: list[str] = []
    store = MemoryBackend()
    queue = notes()
    with queue.using(store, state=fake):
        queue.enqueue(Note("hello"))
        worker = Worker(queue)
    worker.run(until_empty=True)
    assert fake == ["hello"]


def test_what_it_opened_is_closed_at_its_end_and_what_it_was_given_is_not() -> None:
    queue, given = notes(), MemoryBackend()
    with queue.using(given):
        queue.enqueue(Note("kept"))
    assert given.counts("notes").ready == 1
    with queue.using("memory://"):
        opened: Backend = queue.backend
    with pytest.raises(QueueClosed):
        opened.counts("notes")


def test_it_needs_no_url_of_the_queues_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOBCORE_URL", raising=False)
    queue: Queue[list[str]] = Queue("notes", jobs=[Note], state=[])
    with queue.using("memory://"):
        queue.enqueue(Note("hello"))
        assert queue.jobs() == [Note("hello")]
