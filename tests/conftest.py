"""Real servers for the tests, each started once and only when a test asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The URL of a Redis server of the tests' own."""
    from servers import redis

    with redis.server() as server:
        yield server.url


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a PostgreSQL server of the tests' own."""
    from servers import postgres

    with postgres.server() as server:
        yield server.url
