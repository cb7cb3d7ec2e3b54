"""A wire to a server that counts what goes over it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import NamedTuple
from urllib.parse import urlsplit

_CHUNK = 1 << 16


class Traffic(NamedTuple):
    """What went over a wire: how often the server was asked and answered, and the bytes there and back."""

    exchanges: int
    sent: int
    received: int

    def within(self, bounds: Traffic) -> bool:
        """Whether it is no more than this."""
        return all(count <= bound for count, bound in zip(self, bounds, strict=True))


class Wire:
    """What goes over TCP to a server, counted on all connections together.

    Attributes:
        url: that of the server, by this wire.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = parts.hostname, parts.port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._count = [0, 0, 0]
        login, at, _ = parts.netloc.rpartition("@")
        self.url = parts._replace(netloc=f"{login}{at}127.0.0.1:{self._listener.getsockname()[1]}").geturl()
        threading.Thread(target=self._accept, daemon=True).start()

    def during(self, call: Callable[[], object]) -> Traffic:
        """Make a call that gets all its answers, and count what goes over the wire for it."""
        self._count = [0, 0, 0]
        call()
        return Traffic(*self._count)

    def close(self) -> None:
        """Take no more connections; those that are open last as long as their ends."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, far = self._listener.accept()[0], socket.create_connection(self._target)
                turn = [False]  # whether the client spoke last
                for ends in ((near, far, True), (far, near, False)):
                    threading.Thread(target=self._pump, args=(*ends, turn), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, asks: bool, turn: list[bool]) -> None:
        """Pass on what comes. It is counted first: who has an answer finds it in the count."""
        with suppress(OSError), closing(source), closing(target):
            while data := source.recv(_CHUNK):
                self._count[0] += asks and not turn[0]
                self._count[1 if asks else 2] += len(data)
                turn[0] = asks
                target.sendall(data)


@contextmanager
def watched(url: str) -> Iterator[Wire]:
    """A wire to the server of a URL."""
    wire = Wire(url)
    try:
        yield wire
    finally:
        wire.close()
