"""Stores for planted drivers: each test of a trial has an empty one, as a harness."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import redis
from sqlalchemy import NullPool, create_engine

from jobcore.backend import Backend
from jobcore.conformance import Harness
from jobcore.testing import ManualClock

Open: TypeAlias = Callable[[str, ManualClock], Backend]
"""Opens a client of the store of a name."""


class Store(Harness):
    """A store under a name that no other has."""

    examples = 60  # calls at once are to meet where it matters

    def __init__(self, open: Open, drop: Callable[[str], Any] = lambda _name: None) -> None:
        self.clock = ManualClock()
        self._name = f"mutant_{os.urandom(6).hex()}"
        self._open = open
        self._drop = drop
        self._made: list[Backend] = []

    def make(self) -> Backend:
        return self._client(self._name)

    def apart(self) -> Backend:
        return self._client(f"{self._name}_apart")

    def close(self) -> None:
        """Leave nothing open, and nothing on the server: a test that fails may not have closed what it opened."""
        for backend in self._made:
            backend.close()
        self._drop(self._name)
        self._drop(f"{self._name}_apart")

    def _client(self, name: str) -> Backend:
        self._made.append(self._open(name, self.clock))
        return self._made[-1]


def in_memory(package: ModuleType) -> Callable[[], Store]:
    stores: dict[str, Any] = defaultdict(package.Store)
    return lambda: Store(lambda name, clock: package.MemoryBackend(clock, store=stores[name]))


def in_sqlite(package: ModuleType, folder: Path) -> Callable[[], Store]:
    return lambda: Store(lambda name, clock: package.SqliteBackend(folder / name, clock=clock, synchronous="NORMAL"))


def on_redis(package: ModuleType, url: str) -> Callable[[], Store]:
    client = redis.Redis.from_url(url)

    def drop(name: str) -> None:
        for key in client.scan_iter(f"*{name}*", count=1000):
            client.unlink(key)

    return lambda: Store(lambda name, clock: package.RedisBackend(client, prefix=name, clock=clock), drop)


def on_postgres(package: ModuleType, url: str) -> Callable[[], Store]:
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1), poolclass=NullPool)

    def drop(name: str) -> None:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"DROP SCHEMA IF EXISTS {name} CASCADE")

    return lambda: Store(lambda name, clock: package.PostgresBackend(engine, schema=name, clock=clock), drop)
