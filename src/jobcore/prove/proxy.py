"""A TCP proxy between clients and a server, for trouble on the network: connections that break, or stand still."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

_PORTS: Final = {"redis": 6379, "postgresql": 5432, "postgres": 5432}
"""Schemes whose URLs name one server, spoken to by TCP as it is, and the ports that they mean without one."""

_CHUNK: Final = 1 << 16
_ANSWERS_HELD: Final = 0.05
"""Seconds for which requests go through and no answers do, before connections break: so that answers are lost."""


def endpoint(url: str) -> tuple[str, int] | None:
    """Host and port of the server that a URL names; None if no proxy can stand before it."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname or "host=" in parts.query:
        return None
    return parts.hostname, parts.port or _PORTS[parts.scheme]


class Proxy:
    """Passes bytes on between clients and a server until it is told to make trouble. Runs on a thread of its own.

    Args:
        host: of the server.
        port: of the server.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._writers: set[asyncio.StreamWriter] = set()
        self._severed = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="jobcore-proxy", daemon=True)
        self._thread.start()
        self.port: int = self._do(self._listen())

    def url(self, url: str) -> str:
        """A URL of the server, led through here."""
        parts = urlsplit(url)
        login, at, _ = parts.netloc.rpartition("@")
        return parts._replace(netloc=f"{login}{at}127.0.0.1:{self.port}").geturl()

    def sever(self) -> None:
        """Break all connections, those on which an answer is awaited too, and take no new ones until `mend`."""
        self._do(self._sever())

    def hold(self) -> None:
        """Let nothing through until `mend`, which lets through all of it."""
        self._do(self._let(through=False))

    def mend(self) -> None:
        """Have everything as it should be."""
        self._do(self._mend())

    def close(self) -> None:
        """Break all connections, and end the thread."""
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def _listen(self) -> int:
        self._requests, self._answers = asyncio.Event(), asyncio.Event()
        await self._mend()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with suppress(OSError):
            if not self._severed:
                await self._connect(reader, writer)
        self._writers.discard(writer)
        writer.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on in both directions, until either side closes."""
        answers, server = await asyncio.open_connection(*self._target)
        pumps = [_pump(reader, server, self._requests), _pump(answers, writer, self._answers)]
        tasks = [asyncio.ensure_future(pump) for pump in pumps]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            server.close()

    async def _sever(self) -> None:
        self._answers.clear()
        await asyncio.sleep(_ANSWERS_HELD)
        self._severed = True
        self._break()

    async def _let(self, *, through: bool) -> None:
        for way in (self._requests, self._answers):
            way.set() if through else way.clear()

    async def _mend(self) -> None:
        self._severed = False
        await self._let(through=True)

    async def _close(self) -> None:
        self._server.close()
        self._severed = True  # for who has connected and is not served yet
        self._break()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others)

    def _break(self) -> None:
        for writer in self._writers:
            writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, open: asyncio.Event) -> None:
    """Pass bytes on while `open` is set; ends with either side."""
    while data := await reader.read(_CHUNK):
        await open.wait()
        writer.write(data)
        await writer.drain()
