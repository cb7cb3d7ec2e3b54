"""The Redis driver keeps the laws, on every server that is here and in a cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import redis
from redis.cluster import RedisCluster

from jobcore.backend import Backend, State
from jobcore.backends.redis import RedisBackend
from jobcore.conformance import BackendSuite, Client, Harness, Look
from jobcore.connect import open_backend
from jobcore.testing import ManualClock

from servers import redis as servers
from servers.counting import SUFFIX, counting


class RedisHarness(Harness):
    """A prefix of its own on a server, which writes all that it acknowledges to a file."""

    def __init__(self, server: servers.Server, client: redis.Redis | RedisCluster) -> None:
        self.name = f"{server.name}{', cluster' * server.is_cluster}"
        self.client = client
        self.prefix = f"test-{os.urandom(6).hex()}"
        self.clock = ManualClock()
        self._server = server
        self._made: list[RedisBackend] = []

    def make(self) -> RedisBackend:
        return self._open(self.prefix)

    def apart(self) -> RedisBackend:
        return self._open(f"{self.prefix}-apart")

    def unclocked(self) -> RedisBackend:
        return RedisBackend(self.client, prefix=self.prefix)

    def elsewhere(self) -> Callable[[], Backend]:
        scheme = "redis+cluster" if self._server.is_cluster else "redis"
        return partial(open_backend, f"{scheme}://{self._server.url.partition('://')[2]}?prefix={self.prefix}")

    def cut(self) -> bool:
        with self._server.client() as client:
            client.client_kill_filter(_type="normal")  # but for the one that asks
        return True

    def restart(self) -> bool:
        self._server.restart()
        return True

    def look(self, queue: str) -> Look:
        """What docs/redis.md says of the keys, read by redis-py. Who waits is no part of the queue."""
        with self._server.client() as client:
            tag = f"{{{self.prefix}:{queue}}}"
            running = client.hkeys(f"{tag}:running")
            jobs = {id.decode(): _parsed(record, id in running) for id, record in client.hgetall(f"{tag}:jobs").items()}
            keys = {key.decode() for key in client.scan_iter(f"{tag}:*")} - {f"{tag}:waiters"}
        return Look(jobs, sorted(keys))

    def work(self, call: Callable[[], object]) -> int:
        """The commands of its scripts, with the values that go in and come out."""
        with counting(self._made):
            call()
        with self._server.client() as client:
            counts = [*client.scan_iter(f"{{{self.prefix}:*{SUFFIX}", count=1000)]
            return sum(int(client.getdel(key) or 0) for key in counts)

    def _open(self, prefix: str) -> RedisBackend:
        self._made.append(RedisBackend(self.client, prefix=prefix, clock=self.clock))
        return self._made[-1]


def _parsed(record: bytes, running: bool) -> tuple[State, bytes]:
    note = int.from_bytes(record[28:32])
    state = {"s": State.SUCCEEDED, "f": State.FAILED, "t": State.TIMED_OUT, "b": State.BROKEN}.get(chr(record[0]))
    return state or (State.RUNNING if running else State.READY), record[32 + note :]


def _servers() -> Iterator[Any]:
    """Each server that is here, alone and as a cluster of one node; older clusters are left to heavy runs."""
    *older, newest = servers.binaries()
    for version in (*older, newest):
        yield pytest.param((version, False), id=version)
    for version in (*older, newest):
        yield pytest.param((version, True), id=f"{version}-cluster", marks=[pytest.mark.slow] * (version in older))


@pytest.fixture(scope="module", params=_servers())
def server(request: pytest.FixtureRequest) -> Iterator[servers.Server]:
    """It survives a crash of its own: what is acknowledged was handed to the system."""
    version, cluster = request.param
    lasting = ["--appendonly", "yes", "--appendfsync", "no"]
    with servers.server(servers.binaries()[version], cluster=cluster, config=lasting) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: servers.Server) -> Iterator[redis.Redis | RedisCluster]:
    kind = RedisCluster if server.is_cluster else redis.Redis
    with kind.from_url(server.url) as client:
        yield client


class TestRedis(BackendSuite):
    @pytest.fixture
    def harness(self, server: servers.Server, client: redis.Redis | RedisCluster) -> RedisHarness:
        return RedisHarness(server, client)

    def test_its_counter_sees_what_a_verb_goes_through(self, harness: Harness, one: Client) -> None:
        ids = [f"{n}" for n in range(1000)]
        one.push(*ids, payload=os.urandom(1500))
        one.entry("0")
        few, many = (harness.work(lambda n=n: one.backend.get("q", ids[:n])) for n in (1, 1000))
        assert few > 0
        assert many > 20 * few
