"""A child that was forked with a used queue works, and disturbs nothing of its parent's."""

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from jobcore import Job, Queue
from jobcore.backend import Backend
from jobcore.backends.memory import MemoryBackend
from jobcore.events import Event

# From 3.12 on, Python warns of forking a process that has threads: that is what is tested here.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


@dataclass(frozen=True)
class Note(Job[object]):
    text: str

    def run(self) -> None:
        """Do nothing: here jobs are only stored."""


def in_child(act: Callable[[], object]) -> int:
    """Do something in a forked child, and return its exit code."""
    child = os.fork()
    if child == 0:
        try:
            act()
        except BaseException as error:  # noqa: BLE001 -- whatever it is, the child must not go on as a second test run
            sys.stderr.write(f"in the child: {error!r}\n")
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class Marked(MemoryBackend):
    """A backend that leaves a file behind for each process that opens or closes it."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._mark("opened")

    def close(self) -> None:
        """Leave a mark, and close."""
        self._mark("closed")
        super().close()

    def _mark(self, what: str) -> None:
        (self._folder / f"{what} by {os.getpid()}").touch()


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue[None]]:
    made: Queue[None] = Queue("q", lambda: Marked(tmp_path), jobs=[Note])
    yield made
    made.close()


def marks(folder: Path, what: str) -> int:
    return len([each for each in folder.iterdir() if each.name.startswith(what)])


def test_a_child_opens_its_own_and_leaves_its_parents_alone(queue: Queue[None], tmp_path: Path) -> None:
    queue.enqueue(Note("the parent's"))
    parents = queue.backend

    def act() -> None:
        assert queue.jobs() == []
        queue.enqueue(Note("the child's"))
        assert queue.backend is not parents
        queue.close()

    assert in_child(act) == 0
    assert queue.jobs() == [Note("the parent's")]
    assert queue.backend is parents
    assert (marks(tmp_path, "opened"), marks(tmp_path, "closed")) == (2, 1)


def test_a_grandchild_too(queue: Queue[None]) -> None:
    queue.enqueue(Note("the parent's"))
    assert in_child(lambda: queue.enqueue(Note("a")) and in_child(lambda: queue.enqueue(Note("b"))) and 1 / 0) == 0


def test_a_shared_url_is_opened_anew() -> None:
    first: Queue[None] = Queue("a", "memory://forked")
    second: Queue[None] = Queue("b", "memory://forked")
    parents: Backend = first.backend

    def act() -> None:
        assert first.backend is second.backend is not parents

    assert in_child(act) == 0
    assert first.backend is second.backend is parents


def test_async_calls_and_events_have_threads_of_their_own() -> None:
    told: list[Event] = []
    queue: Queue[None] = Queue("q", "memory://", jobs=[Note], on_event=told.extend)
    asyncio.run(aenqueue(queue))

    def act() -> None:
        told.clear()
        asyncio.run(aenqueue(queue))
        assert queue.jobs() == [Note("async")]
        queue.close()
        assert [event.kind for event in told] == ["pushed"]

    assert in_child(act) == 0
    asyncio.run(aenqueue(queue))
    assert queue.jobs() == [Note("async")] * 2
    queue.close()


async def aenqueue(queue: Queue[Any]) -> None:
    await asyncio.wait_for(queue.aenqueue(Note("async")), 30)


def test_a_child_inherits_what_is_used_at_its_fork(queue: Queue[None], tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with queue.using(lambda: Marked(other)):
        assert in_child(lambda: queue.enqueue(Note("a"))) == 0
    assert (marks(other, "opened"), marks(tmp_path, "opened")) == (1, 0)


def test_ids_of_parent_and_child_differ(queue: Queue[None], tmp_path: Path) -> None:
    queue.enqueue(Note("a"))

    def act() -> None:
        (tmp_path / "ids").write_text(" ".join(queue.enqueue(Note("a"))[13:] for _ in range(100)))

    assert in_child(act) == 0
    theirs = set((tmp_path / "ids").read_text().split())
    assert len(theirs) == 100
    assert not theirs & {queue.enqueue(Note("a"))[13:] for _ in range(100)}


@pytest.mark.parametrize("server", ["redis_url", "postgres_url"])
def test_on_a_server_parent_and_child_go_on_side_by_side(server: str, request: pytest.FixtureRequest) -> None:
    queue: Queue[None] = Queue("forks", request.getfixturevalue(server), jobs=[Note])
    queue.enqueue(Note("before"))
    asyncio.run(aenqueue(queue))

    def act() -> None:
        queue.enqueue(Note("the child's"))
        asyncio.run(aenqueue(queue))
        assert len(queue.jobs()) == 4
        queue.close()

    assert in_child(act) == 0
    queue.enqueue(Note("after"))  # on the connections from before, which the child has left alone
    asyncio.run(aenqueue(queue))
    assert [job.text for job in queue.jobs()] == ["before", "async", "the child's", "async", "after", "async"]
    queue.destroy()
    queue.close()
