"""Real servers for the tests, each started once and only when a test asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from servers import postgres


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The URL of a Redis server of the tests' own."""
    from servers import redis

    with redis.server() as server:
        yield server.url


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    """A PostgreSQL server of the tests' own; who restarts it ends other tests' idle connections too."""
    from servers import postgres

    with postgres.server() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_url(postgres_server: postgres.Server) -> str:
    """Its URL."""
    return postgres_server.url
