"""A Redis that is full, read-only, restarted, renamed or takes no login: workers wait, and go on by themselves."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest
import redis
from core.loops import eventually, threads
from faults.neighbours import NAME, WITHIN, Names, served, unknown

from jobcore import EnqueueUncertain
from jobcore.backend import Push, Refused, Unavailable
from jobcore.backends.redis import RedisBackend, connect
from jobcore.events import Kind

from servers import redis as servers

KEEPING = ["--appendonly", "yes", "--appendfsync", "always"]


@pytest.fixture(scope="module")
def server() -> Iterator[servers.Server]:
    """One that keeps what it acknowledged, and has an account whose password is `old`."""
    with servers.server(config=KEEPING) as server:
        yield server


@pytest.fixture
def store(server: servers.Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[redis.Redis]:
    monkeypatch.setattr("jobcore.outage._MOST_SECONDS", 0.2)
    with server.client() as client:
        client.flushall()
        client.execute_command("ACL SETUSER jobs reset on >old ~* +@all")
        yield client


def url_of(server: servers.Server) -> str:
    return server.url.replace("//", "//jobs:old@")


# -- troubles


@contextmanager
def read_only(store: redis.Redis) -> Iterator[None]:
    """It has become a replica, as after a failover."""
    store.replicaof("127.0.0.1", 1)
    yield
    store.replicaof("NO", "ONE")


@contextmanager
def disk_full(store: redis.Redis) -> Iterator[None]:
    """It can't write its snapshot, and so takes no writes."""
    blocked = Path(store.config_get("dir")["dir"]) / "dump.rdb"
    blocked.mkdir()
    store.config_set("save", "3600 1000000")
    store.bgsave()
    servers.wait_until(lambda: store.info("persistence")["rdb_last_bgsave_status"] == "err")
    yield
    blocked.rmdir()
    store.bgsave()
    servers.wait_until(lambda: store.info("persistence")["rdb_last_bgsave_status"] == "ok")
    store.config_set("save", "")


@contextmanager
def another_password(store: redis.Redis) -> Iterator[None]:
    store.execute_command("ACL SETUSER jobs resetpass >new")
    store.execute_command("CLIENT KILL USER jobs")
    yield
    store.execute_command("ACL SETUSER jobs >old")


@contextmanager
def no_rights(store: redis.Redis) -> Iterator[None]:
    store.execute_command("ACL SETUSER jobs -@all")
    yield
    store.execute_command("ACL SETUSER jobs +@all")


@pytest.mark.parametrize(
    ("trouble", "says"),
    [(read_only, "READONLY"), (disk_full, "MISCONF"), (another_password, "WRONGPASS"), (no_rights, "NOPERM")],
)
def test_a_server_that_refuses(
    trouble: Callable[[redis.Redis], AbstractContextManager[None]],
    says: str,
    server: servers.Server,
    store: redis.Redis,
) -> None:
    with served(url_of(server)) as it:
        it.goes_through(trouble(store), Refused, says)


def test_a_server_whose_memory_is_full_takes_no_jobs_and_loses_none(server: servers.Server, store: redis.Redis) -> None:
    """What would free memory goes on: workers are not even held up."""
    with served(url_of(server)) as it:
        store.config_set("maxmemory", 1)
        try:
            with pytest.raises(Refused, match="OOM"):
                it.queue.enqueue(it.note.job("new"), id="new")
            it.go.set()
            eventually(lambda: it.settled(it.held), within=WITHIN)
        finally:
            store.config_set("maxmemory", 0)
        it.queue.enqueue(it.note.job("new"), id="new")
        eventually(lambda: it.settled("new"), within=WITHIN)


def test_a_server_that_crashes_and_comes_back_as_a_newer_version() -> None:
    """Its data is kept; its scripts, and what it knew of who waits, are gone."""
    versions = [path for path in servers.binaries().values() if not path.endswith("valkey-server")]  # of one family

    @contextmanager
    def crashed() -> Iterator[None]:
        server.kill()
        yield
        server.start(versions[-1])

    with servers.server(versions[0], config=KEEPING) as server, served(server.url) as it:
        it.goes_through(crashed(), Unavailable, "can't be reached")


def test_scripts_that_are_flushed_are_not_noticed(server: servers.Server, store: redis.Redis) -> None:
    with served(url_of(server)) as it:
        store.script_flush()
        it.go.set()
        eventually(lambda: it.settled(it.held), within=WITHIN)
        store.script_flush()
        it.queue.enqueue(it.note.job("new"), id="new")
        eventually(lambda: it.settled("new"), within=WITHIN)
        assert it.told.of(Kind.AWAY) == []


# -- names


@pytest.fixture
def names(server: servers.Server, monkeypatch: pytest.MonkeyPatch) -> Names:
    names = Names(lambda: address(server))
    monkeypatch.setattr(socket, "getaddrinfo", names)
    return names


def address(server: servers.Server) -> tuple[str, int]:
    host, port = server.url.rpartition("//")[2].split(":")
    return host, int(port)


def test_a_name_that_is_not_found_for_a_while(store: redis.Redis, names: Names) -> None:
    @contextmanager
    def gone() -> Iterator[None]:
        with names.answering(unknown):
            store.execute_command("CLIENT KILL USER jobs")
            yield

    with served(f"redis://jobs:old@{NAME}") as it:
        it.goes_through(gone(), Unavailable, "name resolution")


def test_a_name_that_is_not_answered_is_not_waited_for_longer_than_the_timeout(names: Names) -> None:
    answered = threading.Event()

    def slow() -> tuple[str, int]:
        answered.wait(WITHIN)
        return unknown()

    with names.answering(slow), closing(connect(f"redis://{NAME}?timeout=0.1")) as backend:
        with pytest.raises(Unavailable, match=r"within 0\.1 s"):
            backend.counts("q")
        answered.set()
        eventually(lambda: "jobcore-open" not in threads())


def test_after_a_failover_the_name_leads_to_the_new_primary(
    server: servers.Server, store: redis.Redis, names: Names
) -> None:
    """The old one is a replica now, and goes on answering on the connections that there are."""
    with servers.server() as primary, closing(connect(f"redis://{NAME}")) as backend:
        backend.push("q", [Push("before", b"x")])
        with read_only(store):
            names.answer = lambda: address(primary)
            with pytest.raises(Refused, match="READONLY"):
                backend.push("q", [Push("after", b"x")])
            assert backend.push("q", [Push("after", b"x")])[0].created
        with closing(connect(primary.url)) as other:
            assert other.counts("q").ready == 1


# -- the client library


def test_an_error_that_nobody_foresaw(
    server: servers.Server, store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def surprise() -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr("redis.connection.AbstractConnection.read_response", _surprised)
            yield

    with served(url_of(server)) as it:
        # Who finds no connection left has sent nothing: the worker's settlement and claim may have taken them all.
        it.goes_through(surprise(), (EnqueueUncertain, Unavailable), "a surprise")


def _surprised(*_: object, **__: object) -> None:
    raise RuntimeError("a surprise")


def test_credentials_that_can_not_be_had(server: servers.Server, store: redis.Redis) -> None:
    """Who hands them out fails in a way of its own. Nothing was sent, so that is what is told."""

    class Broken(redis.CredentialProvider):
        def get_credentials(self) -> tuple[str]:
            raise LookupError("no token to be had")

    host, port = address(server)
    client = redis.Redis(host, port, credential_provider=Broken())
    with closing(RedisBackend(client)) as backend, pytest.raises(Unavailable, match="no token to be had"):
        backend.push("q", [Push("a", b"x")])
