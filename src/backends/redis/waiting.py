"""Waiting for jobs: on a list of markers for each queue, with a connection of its own, never on a job."""

from __future__ import annotations

import os
import selectors
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from functools import partial
from math import inf
from typing import Final

from redis.exceptions import ResponseError

from jobcore.backend import BackendError
from jobcore.backends.redis.link import Connection, Link, exchange, receive, send
from jobcore.backends.redis.routes import Route
from jobcore.backends.redis.scripts import command

PATIENCE: Final = 1.0
"""Seconds that a call blocks at the most."""

_NOTE_EVERY: Final = 3.0
"""Seconds after which a waiter makes itself known again (`wait.lua` forgets it after ten)."""

_SHORTEST: Final = 0.002
"""Seconds to block at the least: of a millisecond, Redis 6.2 makes none at all, and none is for ever."""

_PAUSE: Final = 0.05
"""Seconds to wait in place of blocking where a server refuses that, as while a cluster moves its slots."""


def _markers(tag: str) -> bytes:
    return f"{tag}:wakes".encode()


class Waiter:
    """One that waits: known to the server by a name of its own, for a time, in each queue."""

    def __init__(self) -> None:
        self.name = os.urandom(8)
        self.noted: dict[str, float] = {}


class Waiting:
    """All that wait through one backend.

    Args:
        route: where the queues are.
        look: makes a waiter known in a queue, and tells in how many seconds a job is due there (inf: none).
        tag: the tag of a queue's keys.
    """

    def __init__(self, route: Route, look: Callable[[str, bytes], float], tag: Callable[[str], str]) -> None:
        self._route = route
        self._look = look
        self._tag = tag
        self._due: dict[str, float] = {}
        self._forget()

    def _forget(self) -> None:
        self._pid = os.getpid()
        self._idle: list[Waiter] = []
        self._asleep: list[tuple[str, ...]] = []

    def learn(self, queue: str, seconds: float) -> None:
        """Note in how many seconds the next job of a queue is due (0: now, inf: none), as a claim or a look told."""
        self._due[queue] = time.monotonic() + seconds

    def wait(self, queues: Collection[str], timeout: float) -> set[str]:
        """See `Wakes.wait`."""
        if self._pid != os.getpid():
            self._forget()
        names = tuple(dict.fromkeys(queues))
        waiter = self._a_waiter()
        self._asleep.append(names)  # from here on, `ring` leaves a marker for it
        try:
            return self._sleep(waiter, names, min(timeout, PATIENCE))
        except BackendError:
            waiter.noted.clear()  # the server may have lost what it knew
            raise
        finally:
            self._asleep.remove(names)
            self._idle.append(waiter)

    def ring(self) -> None:
        """Wake all that sleep here: the clock was moved by hand."""
        for queue, sleepers in Counter(queue for names in list(self._asleep) for queue in names).items():
            tag = self._tag(queue)
            push = command(b"LPUSH", _markers(tag), *[b""] * sleepers)
            self._route.call(tag, partial(exchange, command=push))

    def _a_waiter(self) -> Waiter:
        try:
            return self._idle.pop()
        except IndexError:
            return Waiter()

    def _sleep(self, waiter: Waiter, names: Iterable[str], timeout: float) -> set[str]:
        for queue in names:
            if time.monotonic() - waiter.noted.get(queue, -inf) > _NOTE_EVERY:
                self.learn(queue, self._look(queue, waiter.name))
                waiter.noted[queue] = time.monotonic()
        due = {queue: self._due.get(queue, inf) for queue in names}
        block = min([timeout, *[at - time.monotonic() for at in due.values()]])
        woken = self._listen(names, block) if block > 0 else set()
        return woken | {queue for queue, at in due.items() if at <= time.monotonic()}

    def _listen(self, names: Iterable[str], seconds: float) -> set[str]:
        queues = {self._tag(queue): queue for queue in names}
        places = self._route.patient(queues)
        try:
            woken = _listen(places, seconds)
        except ResponseError:  # not to be waited for just now
            time.sleep(min(seconds, _PAUSE))
            return set(names)
        return {queues[tag] for tag in woken}


def _listen(places: Collection[tuple[Link, list[str]]], seconds: float) -> set[str]:
    """Block until a marker lies under one of the tags; give the tags to look under.

    Where this takes several connections, a marker may yet come on one that is given up; so then all are told.
    """
    lines: dict[Connection, Link] = {}
    try:
        for link, tags in places:
            connection = link.take()
            lines[connection] = link
            send(connection, command(b"BLPOP", *map(_markers, tags), b"%.3f" % max(seconds, _SHORTEST)))
        while lines:
            connection = _first_to_answer(lines, seconds)
            answer = receive(connection)
            lines.pop(connection).give(connection)
            if answer:
                woken = answer[0].decode().removesuffix(":wakes")
                return {woken} if len(places) == 1 else {tag for _, tags in places for tag in tags}
        return set()
    finally:
        for connection in lines:
            connection.disconnect()


def _first_to_answer(lines: Collection[Connection], seconds: float) -> Connection:
    """One that has answered; any one if none does in time, whose timeout then tells."""
    if len(lines) > 1:
        with selectors.DefaultSelector() as selector:
            for connection in lines:
                selector.register(connection._sock, selectors.EVENT_READ, connection)  # noqa: SLF001 -- see Connection
            for key, _ in selector.select(seconds + PATIENCE):
                answered: Connection = key.data
                return answered
    return next(iter(lines))
