"""A worker that is cut off from its server: what it had done is settled once the server is back, nothing runs twice."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator

import pytest
from core.loops import BOUND, Told, eventually, running, states

from jobcore import Monitor, Queue, Worker
from jobcore.events import Kind
from jobcore.prove.proxy import Proxy, endpoint

JOBS = 5
TRIES = 4


@pytest.fixture(params=["redis_url", "postgres_url"])
def url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(request.param)
    return url


@pytest.fixture
def proxy(url: str) -> Iterator[Proxy]:
    target = endpoint(url)
    assert target
    made = Proxy(*target)
    yield made
    made.close()


@pytest.fixture
def beside(url: str) -> Iterator[Queue[None]]:
    """The queue, as others see it: their way to the server is sound."""
    queue: Queue[None] = Queue(f"cut-off-{secrets.token_hex(4)}", url)
    yield queue
    queue.destroy()
    queue.close()


def test_what_was_done_while_the_server_was_away_is_settled_when_it_is_back(
    url: str, proxy: Proxy, beside: Queue[None]
) -> None:
    """However long that is: it is tried at intervals that grow to five seconds, and `TRIES` in vain stand for all."""
    queue: Queue[None] = Queue(beside.name, proxy.url(url), keep_succeeded=JOBS)
    told, ran, done, go = Told(), list[int](), list[int](), threading.Event()

    @queue.job
    def work(number: int) -> None:
        ran.append(number)
        go.wait(BOUND)
        done.append(number)

    queue.enqueue_many([work.job(number) for number in range(JOBS)])
    with running(Worker(queue, concurrency=JOBS, monitor=False, lease=600, on_event=told)):
        eventually(lambda: len(ran) == JOBS)
        proxy.sever()
        go.set()
        eventually(lambda: len(done) == JOBS and len(told.of(Kind.AWAY)) >= TRIES)
        assert Monitor(beside, lease=600).step() == 0  # their leases hold
        assert states(beside) == {"running": JOBS}
        proxy.mend()
        eventually(lambda: states(beside) == {"succeeded": JOBS})
    queue.close()
    assert sorted(ran) == list(range(JOBS))
    entries = beside.entries("succeeded", limit=JOBS).entries
    assert {(entry.attempt, entry.lost) for entry in entries} == {(1, 0)}
