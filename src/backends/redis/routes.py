"""Which server a queue's calls go to: here the one there is; `cluster.py` has the other way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

import redis
from redis.exceptions import ResponseError

from jobcore.backends.redis.link import Connection, Link, dialer, refusal

T = TypeVar("T")


class Route(Protocol):
    """Where calls go."""

    def call(self, tag: str, ask: Callable[[Connection], T]) -> T:
        """Let `ask` have an exchange with the server of the keys under a tag. Raises as `Link.call`, and `Refused`."""
        ...

    def patient(self, tags: Iterable[str]) -> list[tuple[Link, list[str]]]:
        """Links for waiting: for each, the tags whose keys can be waited for in one command over it."""
        ...

    def each(self, ask: Callable[[Connection], T]) -> list[T]:
        """Let `ask` have an exchange with every server that holds keys. Raises as `call`."""
        ...

    def close(self) -> None:
        """Close what is open."""
        ...


class Single:
    """One server, as a client's pool reaches it."""

    def __init__(self, client: redis.Redis, timeout: float, patience: float) -> None:
        pool = client.connection_pool
        self._link = Link(dialer(pool.connection_class, pool.connection_kwargs, timeout), timeout)
        self._patient = Link(dialer(pool.connection_class, pool.connection_kwargs, timeout + patience), timeout)

    def call(self, tag: str, ask: Callable[[Connection], T]) -> T:  # noqa: ARG002 -- one server has all keys
        """See `Route`."""
        try:
            return self._link.call(ask)
        except ResponseError as error:
            raise refusal(error) from error

    def patient(self, tags: Iterable[str]) -> list[tuple[Link, list[str]]]:
        """See `Route`."""
        return [(self._patient, list(tags))]

    def each(self, ask: Callable[[Connection], T]) -> list[T]:
        """See `Route`."""
        return [self.call("", ask)]

    def close(self) -> None:
        """See `Route`."""
        self._link.close()
        self._patient.close()
