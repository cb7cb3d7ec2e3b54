"""A cluster: each queue's calls go to the node that holds its slot."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar

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


class Cluster:
    """The nodes of a cluster. The client knows them; the calls go over connections of the driver's own.

    A reply that names another node proves that nothing was carried out, so such a call is made again there.

    Args:
        client: gives the cluster's client, when it is first needed.
        timeout: seconds for connecting, and for each answer.
        patience: seconds above them for an answer that is waited for.
        owned: whether the client is closed with this.
    """

    def __init__(
        self, client: Callable[[], RedisCluster], timeout: float, patience: float, *, owned: bool = False
    ) -> None:
        self._open = client
        self._owned = owned
        self._client: RedisCluster | None = None
        self._outdated = False
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

    def each(self, ask: Callable[[Connection], T]) -> list[T]:
        """See `Route`."""
        try:
            return [self._links_to(primary)[0].call(ask) for primary in self._asked(_primaries)]
        except ResponseError as error:
            raise refusal(error) from error

    def close(self) -> None:
        """See `Route`."""
        for links in self._links.values():
            for link in links:
                link.close()
        if self._owned and self._client is not None:
            self._client.close()

    def _follow(self, tag: str, ask: Callable[[Connection], T]) -> T:
        for _ in range(_HOPS):
            home = self._home(tag)
            try:
                return self._links_to(home)[0].call(ask)
            except MovedError as error:
                self._homes[tag] = (error.host or home[0], error.port)
            except AskError as error:
                there = (error.host or home[0], error.port)
                return self._links_to(there)[0].call(partial(_asking, ask))
        raise Refused(f"the cluster's nodes don't agree which of them holds {tag}")

    def _home(self, tag: str) -> Address:
        home = self._homes.get(tag)
        if home is None:
            node = self._asked(partial(_holder, tag))
            home = self._homes[tag] = (node.host, node.port)
        return home

    def _lose_sight(self) -> None:
        """A node is gone: whoever takes its place has to be asked for."""
        self._homes.clear()
        self._outdated = True

    def _asked(self, question: Callable[[RedisCluster], Any]) -> Any:
        try:
            return question(self._opened())
        except ResponseError as error:
            raise refusal(error) from error
        except (RedisError, RedisClusterException, OSError) as error:
            raise Unavailable(f"the Redis cluster can't be reached: {error}") from error

    def _opened(self) -> RedisCluster:
        client = self._client
        if client is None:
            client = self._client = self._open()
        elif self._outdated:
            client.nodes_manager.initialize()
        self._outdated = False
        return client

    def _links_to(self, address: Address) -> tuple[Link, Link]:
        if address not in self._links:
            pool = self._asked(_a_pool)
            arguments = {**pool.connection_kwargs, "host": address[0], "port": address[1]}
            quick, patient = (
                Link(dialer(pool.connection_class, arguments, timeout), timeout) for timeout in self._timeouts
            )
            self._links[address] = (quick, patient)
        return self._links[address]


def _holder(tag: str, client: RedisCluster) -> Any:
    """The node that holds the keys under a tag."""
    return client.get_node_from_key(tag)  # type: ignore[no-untyped-call]  # redis-py has no types there


def _a_pool(client: RedisCluster) -> redis.ConnectionPool:
    """The pool of any node: they differ in host and port alone."""
    node = client.get_default_node()  # type: ignore[no-untyped-call]  # redis-py has no types there
    return client.get_redis_connection(node).connection_pool


def _primaries(client: RedisCluster) -> list[Address]:
    return [(node.host, node.port) for node in client.get_primaries()]  # type: ignore[no-untyped-call]  # likewise


def _asking(ask: Callable[[Connection], T], connection: Connection) -> T:
    exchange(connection, command(b"ASKING"))
    return ask(connection)
