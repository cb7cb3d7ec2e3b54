"""The Redis driver keeps the laws, on every server that is here and in a cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import redis
from redis.cluster import RedisCluster

from jobcore.backends.redis import RedisBackend
from jobcore.conformance import BackendSuite, Harness
from jobcore.testing import ManualClock

from servers import redis as servers


class RedisHarness(Harness):
    """A prefix of its own on a server."""

    def __init__(self, client: redis.Redis | RedisCluster) -> None:
        self.client = client
        self.prefix = f"test-{os.urandom(6).hex()}"
        self.clock = ManualClock()

    def make(self) -> RedisBackend:
        return self._open(self.prefix)

    def apart(self) -> RedisBackend:
        return self._open(f"{self.prefix}-apart")

    def _open(self, prefix: str) -> RedisBackend:
        return RedisBackend(self.client, prefix=prefix, clock=self.clock)


@pytest.fixture(scope="module", params=[*servers.binaries(), "cluster"])
def client(request: pytest.FixtureRequest) -> Iterator[redis.Redis | RedisCluster]:
    cluster = request.param == "cluster"
    with servers.server(servers.binaries().get(request.param), cluster=cluster) as server:
        kind = RedisCluster if cluster else redis.Redis
        with kind.from_url(server.url) as client:
            yield client


class TestRedis(BackendSuite):
    @pytest.fixture
    def harness(self, client: redis.Redis | RedisCluster) -> RedisHarness:
        return RedisHarness(client)
