"""Redis: pushes that are acknowledged once replicas have them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from jobcore import EnqueueUncertain, Queue
from jobcore.backend import ConfigurationError, Push, State, Uncertain
from jobcore.backends.redis import connect

from servers import redis


@pytest.fixture
def servers() -> Iterator[tuple[redis.Server, redis.Server]]:
    """A primary, and a replica that follows it."""
    with ExitStack() as stack:
        primary = stack.enter_context(redis.server(config=["--repl-diskless-sync-delay", "0"]))
        replica = stack.enter_context(redis.server(config=["--replicaof", "127.0.0.1", primary.url.rpartition(":")[2]]))
        with replica.client() as client:
            redis.wait_until(lambda: client.info("replication")["master_link_status"] == "up")
        yield primary, replica


def test_who_is_told_of_a_push_finds_it_on_the_replica(servers: tuple[redis.Server, redis.Server]) -> None:
    primary, replica = servers
    with closing(connect(f"{primary.url}?replicas=1")) as backend, replica.client() as client:
        for n in range(20):
            assert backend.push("q", [Push(f"{n}", b"x")])[0].created
            assert client.hlen("{jobcore:q}:jobs") == n + 1
        assert backend.push("q", []) == []


def test_with_too_few_replicas_a_push_is_uncertain_and_stored_once(servers: tuple[redis.Server, redis.Server]) -> None:
    primary, _ = servers
    with closing(connect(f"{primary.url}?replicas=2&timeout=2")) as backend:
        for _ in range(2):
            with pytest.raises(Uncertain, match=r"only \d of 2 replicas"):
                backend.push("q", [Push("a", b"x")])
        assert backend.counts("q").ready == 1
    with closing(connect(f"{primary.url}?replicas=1")) as backend:
        (known,) = backend.push("q", [Push("a", b"x")])
        assert (known.created, known.state) == (False, State.READY)


def test_who_enqueues_is_told_that_it_may_be_lost(servers: tuple[redis.Server, redis.Server]) -> None:
    primary, _ = servers
    queue: Queue[None] = Queue("q", f"{primary.url}?replicas=2&timeout=2")

    @queue.job
    def work() -> None: ...

    with closing(queue), pytest.raises(EnqueueUncertain, match=r"only \d of 2 replicas"):
        work.enqueue()


def test_an_account_that_may_not_wait_is_told_so(servers: tuple[redis.Server, redis.Server]) -> None:
    primary, _ = servers
    with primary.client() as client:
        client.acl_setuser("hasty", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-wait"])
    url = primary.url.replace("redis://", "redis://hasty:x@")
    with closing(connect(f"{url}?replicas=1")) as backend, pytest.raises(Uncertain, match="can't be waited for"):
        backend.push("q", [Push("a", b"x")])


@pytest.mark.parametrize("said", ["-1", "some"])
def test_a_number_that_can_not_be_is_refused(said: str) -> None:
    with pytest.raises(ConfigurationError, match="replicas"):
        connect(f"redis://localhost?replicas={said}")
