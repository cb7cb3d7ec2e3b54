"""Waiting in the store: what it tells reaches the mover, whatever that has done meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Collection

from core.loops import BOUND, eventually

from jobcore.waiting import Waiter


class Store:
    """Blocks until it is told what to say."""

    def __init__(self) -> None:
        self.asked, self.answer = threading.Semaphore(0), threading.Semaphore(0)

    def wait(self, queues: Collection[str], timeout: float) -> set[str]:
        self.asked.release()
        assert self.answer.acquire(timeout=BOUND)
        return set(queues)


def test_a_job_is_heard_of_though_the_mover_has_rested_anew_since_the_wait_began():
    store, heard = Store(), list[Collection[str]]()
    waiter = Waiter(store, heard.append)
    waiter.start()
    waiter.want(["q"])
    assert store.asked.acquire(timeout=BOUND)
    waiter.want(["q"])  # it has worked, and found nothing; what comes after that is to be told
    store.answer.release()
    try:
        eventually(lambda: heard == [{"q"}])
    finally:
        waiter.stop()
        store.answer.release(2)
