"""Which server a queue's calls go to: the one there is, or the node of a cluster that holds the queue's slot."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol, TypeAlias, TypeVar

import redis
from redis.cluster import RedisCluster
from redis.exceptions import AskError, MovedError, RedisClusterException, RedisError, ResponseError

from jobcore.backend import Refused, Unavailable
from jobcore.backends.redis.link import Connection, Link, dialer, exchange, refusal
from jobcore.backends.redis.scripts import command

T = TypeVar("T")
Address: TypeAlias = tuple[str, int]

_HOPS: Final = 5
"""How often a call follows a cluster whose slots are being moved."""


class Route(Protocol):
    """Where calls go."""

    def call(self, tag: str, ask: Callable[[Connection], T]) -> T:
        """Let `ask` have an exchange with the server of the keys under a tag. Raises as `Link.call`, and `Refused`."""
        ...

    def patient(self, tags: Iterable[str]) -> list[tuple[Link, list[str]]]:
        """Links for waiting: for each, the tags whose keys can be waited for in one command over it."""
        ...

    def close(self) -> None:
        """Close what is open."""
        ...


class Single:
    """One server, as a client's pool reaches it."""

    def __init__(self, client: redis.Redis, timeout: float, patience: float) -> None:
        pool = client.connection_pool
        self._link = Link(dialer(pool.connection_class, pool.connection_kwargs, timeout))
        self._patient = Link(dialer(pool.connection_class, pool.connection_kwargs, timeout + patience))

    def call(self, tag: str, ask: Callable[[Connection], T]) -> T:  # noqa: ARG002 -- one server has all keys
        """See `Route`."""
        try:
            return self._link.call(ask)
        except ResponseError as error:
            raise refusal(error) from error

    def patient(self, tags: Iterable[str]) -> list[tuple[Link, list[str]]]:
        """See `Route`."""
        return [(self._patient, list(tags))]

    def close(self) -> None:
        """See `Route`."""
        self._link.close()
        self._patient.close()


class Cluster:
    """The nodes of a cluster. The client knows them; the calls go over connections of the driver's own.

    A reply that names another node proves that nothing was carried out, so such a call is made again there.
    """

    def __init__(self, client: Callable[[], RedisCluster], timeout: float, patience: float) -> None:
        self._open = client
        self._client: RedisCluster | None = None
        self._timeouts = (timeout, timeout + patience)
        self._homes: dict[str, Address] = {}
        self._links: dict[Address, tuple[Link, Link]] = {}

    def call(self, tag: str, ask: Callable[[Connection], T]) -> T:
        """See `Route`."""
        try:
            return self._follow(tag, ask)
        except ResponseError as error:
            raise refusal(error) from error
        except Unavailable:
            self._lose_sight()
            raise

    def patient(self, tags: Iterable[str]) -> list[tuple[Link, list[str]]]:
        """See `Route`."""
        return [(self._links_to(self._home(tag))[1], [tag]) for tag in tags]

    def close(self) -> None:
        """See `Route`."""
        for links in self._links.values():
            for link in links:
                link.close()

    def _follow(self, tag: str, ask: Callable[[Connection], T]) -> T:
        for _ in range(_HOPS):
            home = self._home(tag)
            try:
                return self._links_to(home)[0].call(ask)
            except MovedError as error:
                self._homes[tag] = (error.host or home[0], error.port)
            except AskError as error:
                there = (error.host or home[0], error.port)
                return self._links_to(there)[0].call(lambda connection: _asking(connection, ask))
        raise Refused(f"the cluster's nodes don't agree which of them holds {tag}")

    def _home(self, tag: str) -> Address:
        home = self._homes.get(tag)
        if home is None:
            node = self._asked(lambda client: client.get_node_from_key(tag))
            home = self._homes[tag] = (node.host, node.port)
        return home

    def _lose_sight(self) -> None:
        """A node is gone: whoever takes its place has to be asked for."""
        self._homes.clear()
        self._client = None

    def _asked(self, question: Callable[[RedisCluster], Any]) -> Any:
        try:
            if self._client is None:
                self._client = self._open()
            return question(self._client)
        except (RedisError, RedisClusterException, OSError) as error:
            raise Unavailable(f"the Redis cluster can't be reached: {error}") from error

    def _links_to(self, address: Address) -> tuple[Link, Link]:
        if address not in self._links:
            pool = self._asked(lambda client: client.get_redis_connection(client.get_default_node()).connection_pool)
            arguments = {**pool.connection_kwargs, "host": address[0], "port": address[1]}
            quick, patient = (Link(dialer(pool.connection_class, arguments, timeout)) for timeout in self._timeouts)
            self._links[address] = (quick, patient)
        return self._links[address]


def _asking(connection: Connection, ask: Callable[[Connection], T]) -> T:
    exchange(connection, command(b"ASKING"))
    return ask(connection)
