"""TLS for the tests: certificates made on the spot, and TLS in front of a server that was built without it."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import trustme

_REQUEST = 8  # bytes in which a PostgreSQL client asks for TLS; the answer is one
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Certificates:
    """Files in one folder, as PEM.

    Attributes:
        ca: who has signed the others.
        stranger: an authority that has signed none of them.
        server: of a server on 127.0.0.1, with its key.
        elsewhere: of a server of another name.
        client: of the client `certified`.
        forged: of a client of the same name, signed by the stranger.
    """

    ca: str
    stranger: str
    server: tuple[str, str]
    elsewhere: tuple[str, str]
    client: tuple[str, str]
    forged: tuple[str, str]

    def context(self, pair: tuple[str, str], *, mutual: bool = False) -> ssl.SSLContext:
        """What a server that shows `pair` speaks; `mutual`: only with clients that show one of the authority's."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair)
        context.load_verify_locations(self.ca)
        context.verify_mode = ssl.CERT_REQUIRED if mutual else ssl.CERT_NONE
        return context


@contextmanager
def certificates(owner: str | None = None) -> Iterator[Certificates]:
    """Make an authority and what it signs, for as long as the block.

    Args:
        owner: the user whom the files are to belong to; None: who runs the tests.
    """
    with tempfile.TemporaryDirectory(prefix="jobcore-tls-") as scratch:
        folder = Path(scratch)
        folder.chmod(0o711)
        ca, stranger = trustme.CA(), trustme.CA()
        ca.cert_pem.write_to_path(folder / "ca.pem")
        stranger.cert_pem.write_to_path(folder / "stranger.pem")
        yield Certificates(
            str(folder / "ca.pem"),
            str(folder / "stranger.pem"),
            _written(folder / "server", ca.issue_cert("127.0.0.1"), owner),
            _written(folder / "elsewhere", ca.issue_cert("elsewhere.example"), owner),
            _written(folder / "client", ca.issue_cert(common_name="certified"), None),
            _written(folder / "forged", stranger.issue_cert(common_name="certified"), None),
        )


def _written(path: Path, made: trustme.LeafCert, owner: str | None) -> tuple[str, str]:
    certificate, key = path.with_suffix(".pem"), path.with_suffix(".key")
    made.cert_chain_pems[0].write_to_path(certificate)
    made.private_key_pem.write_to_path(key)
    key.chmod(0o600)
    if owner:
        shutil.chown(key, owner)
    return str(certificate), str(key)


@contextmanager
def terminator(port: int, context: ssl.SSLContext, *, asked: bool = False) -> Iterator[int]:
    """Speak TLS in front of a server of this machine, for as long as the block; gives the port.

    Args:
        port: the server's.
        context: what is spoken.
        asked: clients ask for TLS first, as PostgreSQL's do.
    """
    front = _Front(port, context, asked)
    thread = threading.Thread(target=lambda: asyncio.run(front.run()), name="tls-terminator")
    thread.start()
    try:
        yield front.port.result(30)
    finally:
        front.stop()
        thread.join()


class _Front:
    def __init__(self, server: int, context: ssl.SSLContext, asked: bool) -> None:
        self.port: Future[int] = Future()
        self._server = server
        self._context = context
        self._asked = asked
        self._writers: set[asyncio.StreamWriter] = set()

    async def run(self) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        listening = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port.set_result(listening.sockets[0].getsockname()[1])
        await self._ended.wait()
        listening.close()
        while others := asyncio.all_tasks() - {asyncio.current_task()}:  # also of who was let in just now
            for writer in self._writers:
                writer.transport.abort()
            await asyncio.wait(others)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError), self._ending(writer):
            if self._ended.is_set():
                return
            if self._asked:
                await reader.readexactly(_REQUEST)
                writer.write(b"S")
            await writer.start_tls(self._context)
            there, back = await asyncio.open_connection("127.0.0.1", self._server)
            with self._ending(back):
                passing = [asyncio.create_task(_pass_on(reader, back)), asyncio.create_task(_pass_on(there, writer))]
                await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)

    @contextmanager
    def _ending(self, writer: asyncio.StreamWriter) -> Iterator[None]:
        """End a connection after the block, or when all is to end."""
        self._writers.add(writer)
        try:
            yield
        finally:
            self._writers.discard(writer)
            writer.transport.abort()


async def _pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(_CHUNK):
            target.write(data)
            await target.drain()


def speaks_tls(program: Path) -> bool:
    """Whether a server was linked with OpenSSL."""
    return b"SSL_CTX_new" in program.read_bytes()


def owner_of_servers() -> str | None:
    """Whom a key is to belong to, so that PostgreSQL may read it: root lends its server the user `nobody`."""
    return "nobody" if os.geteuid() == 0 else None
