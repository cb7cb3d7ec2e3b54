"""Two things done at once: what is settled, and what is claimed meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from jobcore import Queue, Worker
from jobcore.aside import Aside
from jobcore.backends.memory import MemoryBackend

BOUND = 20.0


@pytest.fixture
def aside() -> Iterator[Aside]:
    aside = Aside()
    yield aside
    aside.close()


class Meeting(MemoryBackend):
    """A store whose first settlement is answered once a second claim has come."""

    def __init__(self) -> None:
        super().__init__()
        self.claims, self.second, self.met = 0, threading.Event(), False

    def settle(self, *given: Any) -> Any:
        self.met = self.second.wait(BOUND)
        return super().settle(*given)

    def claim(self, *given: Any) -> Any:
        self.claims += 1
        if self.claims == 2:
            self.second.set()
        return super().claim(*given)


def test_a_worker_claims_while_it_settles() -> None:
    backend = Meeting()
    queue: Queue[None] = Queue("q", backend)

    @queue.job
    def work() -> None: ...

    queue.enqueue_many([work.job()] * 3)
    Worker(queue, monitor=False, concurrency=1, prefetch=1).run(until_empty=True)
    assert backend.met


def test_both_are_done_at_once(aside: Aside) -> None:
    met = threading.Barrier(2)
    for _ in range(2):
        aside.both(lambda: met.wait(BOUND), lambda: met.wait(BOUND))


def test_it_waits_for_the_other_though_its_own_has_failed(aside: Aside) -> None:
    failed, done = threading.Event(), []

    def other() -> None:
        done.append(failed.wait(BOUND))

    def own() -> None:
        try:
            raise KeyError("own")
        finally:
            failed.set()

    with pytest.raises(KeyError, match="own"):
        aside.both(other, own)
    assert done == [True]


def test_what_the_other_raises_is_raised_once(aside: Aside) -> None:
    done = []
    with pytest.raises(ZeroDivisionError):
        aside.both(lambda: 1 // 0, lambda: done.append("own"))
    aside.both(lambda: done.append("other"), lambda: None)
    assert done == ["own", "other"]


def test_where_no_thread_can_start_both_are_done_in_turn(aside: Aside, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    done = []
    with monkeypatch.context() as within:
        within.setattr(threading.Thread, "start", refused)
        aside.both(lambda: done.append("other"), lambda: done.append("own"))
    assert done == ["other", "own"]
    met = threading.Barrier(2)
    aside.both(lambda: met.wait(BOUND), lambda: met.wait(BOUND))
