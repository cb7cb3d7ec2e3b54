"""A PostgreSQL that is full, read-only, restarted or takes no login: workers wait, and go on by themselves."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any, TypeAlias

import psycopg
import pytest
from core.loops import eventually, threads
from faults.neighbours import NAME, WITHIN, Names, served, unknown
from sqlalchemy import create_engine, text

from jobcore import EnqueueUncertain
from jobcore.backend import Push, Refused, Unavailable
from jobcore.backends.postgres import PostgresBackend, connect

from servers import postgres as servers

Store: TypeAlias = psycopg.Connection[Any]
"""A superuser's connection."""


@pytest.fixture(scope="module")
def server() -> Iterator[servers.Server]:
    """One with a database and an account of the tests' own."""
    with servers.server(full_page_writes="off") as server:
        with psycopg.connect(server.url, autocommit=True) as store:
            store.execute("CREATE ROLE jobs LOGIN")
            store.execute("CREATE DATABASE jobs OWNER jobs")
        yield server


@pytest.fixture
def url(server: servers.Server) -> str:
    return server.url.replace("jobcore@", "jobs@").replace("/postgres", "/jobs")


@pytest.fixture
def store(server: servers.Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setattr("jobcore.outage._MOST_SECONDS", 0.2)
    with psycopg.connect(server.url.replace("/postgres", "/jobs"), autocommit=True) as store:
        yield store


def end_sessions(store: Store) -> None:
    """Those that there are, to their end."""
    pids = [pid for (pid,) in store.execute("SELECT pid FROM pg_stat_activity WHERE usename = 'jobs'")]
    store.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s) AS pid", [pids])
    left = "SELECT FROM pg_stat_activity WHERE pid = ANY(%s)"
    eventually(lambda: store.execute(left, [pids]).rowcount == 0, within=WITHIN)


# -- troubles


@contextmanager
def read_only(store: Store) -> Iterator[None]:
    """What is new may only read, and stays so for as long as it lives."""
    store.execute("ALTER ROLE jobs SET default_transaction_read_only = on")
    end_sessions(store)
    yield
    store.execute("ALTER ROLE jobs RESET default_transaction_read_only")


@contextmanager
def no_login(store: Store) -> Iterator[None]:
    store.execute("ALTER ROLE jobs NOLOGIN")
    end_sessions(store)
    yield
    store.execute("ALTER ROLE jobs LOGIN")


@contextmanager
def too_many_connections(store: Store) -> Iterator[None]:
    store.execute("ALTER ROLE jobs CONNECTION LIMIT 0")
    end_sessions(store)
    yield
    store.execute("ALTER ROLE jobs CONNECTION LIMIT -1")


@contextmanager
def disk_full(store: Store) -> Iterator[None]:
    """Each write to the jobs fails as one does that finds no room."""
    store.execute("""
        CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';
        END $$
    """)
    store.execute(
        "CREATE TRIGGER no_room BEFORE INSERT OR UPDATE OR DELETE ON jobcore.jobs EXECUTE FUNCTION full_disk()"
    )
    yield
    store.execute("DROP FUNCTION full_disk CASCADE")


@contextmanager
def no_rights(store: Store) -> Iterator[None]:
    store.execute("ALTER TABLE jobcore.jobs OWNER TO jobcore")
    yield
    store.execute("ALTER TABLE jobcore.jobs OWNER TO jobs")


@pytest.mark.parametrize(
    ("trouble", "raised", "says"),
    [
        (read_only, Refused, "read-only"),
        (disk_full, Refused, "No space left"),
        (no_rights, Refused, "permission denied"),
        (no_login, Unavailable, "not permitted to log in"),
        (too_many_connections, Unavailable, "too many connections"),
    ],
)
def test_a_server_that_refuses(
    trouble: Callable[[Store], AbstractContextManager[None]], raised: type[Exception], says: str, url: str, store: Store
) -> None:
    with served(url) as it:
        it.goes_through(trouble(store), raised, says)


def test_sessions_that_may_only_read_are_left_for_others(url: str, store: Store) -> None:
    """They would stay so, and with several servers in the URL another may be the one to write to."""
    with closing(connect(url)) as backend:
        backend.destroy("q")
        with read_only(store), pytest.raises(Refused, match="read-only"):
            backend.push("q", [Push("a", b"x")])
        assert backend.push("q", [Push("a", b"x")])[0].created


def test_no_job_writes_in_a_session_that_may_only_read(url: str, store: Store) -> None:
    with closing(connect(url)) as backend:
        backend.destroy("q")
        with read_only(store):
            backend.transact("q").rollback()  # its session idles from here on
            with pytest.raises(Refused, match="read-only"):
                backend.push("q", [Push("a", b"x")])
        transaction = backend.transact("q")
        assert transaction.connection.scalar(text("SHOW transaction_read_only")) == "off"
        transaction.rollback()


def test_a_server_that_crashes_and_comes_back(url: str, server: servers.Server, store: Store) -> None:
    @contextmanager
    def crashed() -> Iterator[None]:
        server.kill()
        yield
        server.start()

    with served(url) as it:
        it.goes_through(crashed(), Unavailable, "Connection refused")


def test_a_name_that_is_not_found_for_a_while(url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(lambda: ("127.0.0.1", store.info.port))
    monkeypatch.setattr(socket, "getaddrinfo", names)

    @contextmanager
    def gone() -> Iterator[None]:
        with names.answering(unknown):
            end_sessions(store)
            yield

    with served(url.replace("127.0.0.1", NAME)) as it:
        it.goes_through(gone(), Unavailable, "name resolution")


# -- what hangs


def test_a_pooler_that_takes_connections_and_says_nothing_is_waited_for_within_the_timeout() -> None:
    """An engine that was handed in waits for as long as libpq does, or for ever."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        engine = create_engine(f"postgresql+psycopg://jobs@127.0.0.1:{silent.getsockname()[1]}/jobs")
        backend = PostgresBackend(engine, timeout=0.1)
        with closing(backend), pytest.raises(Unavailable, match=r"within 0\.1 s"):
            backend.counts("q")
    eventually(lambda: "jobcore-open" not in threads(), within=WITHIN)


def test_credentials_that_can_not_be_had() -> None:
    """What hands them out fails in a way of its own. Nothing was sent, so that is what is told."""

    def creator() -> Store:
        raise LookupError("no token to be had")

    engine = create_engine("postgresql+psycopg://", creator=creator)
    with closing(PostgresBackend(engine)) as backend, pytest.raises(Unavailable, match="no token to be had"):
        backend.push("q", [Push("a", b"x")])


# -- the client library


def test_an_error_that_nobody_foresaw(url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even who listens for notifications is lost to it."""

    @contextmanager
    def surprise() -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr(psycopg.Connection, "notifies", _surprised)
            for kind in (psycopg.Connection, psycopg.RawCursor):
                patch.setattr(kind, "execute", _surprised)
            eventually(lambda: not listeners(url), within=WITHIN)
            yield

    with served(url) as it:
        eventually(lambda: listeners(url) == 1, within=WITHIN)
        it.goes_through(surprise(), EnqueueUncertain, "a surprise")
        eventually(lambda: listeners(url) == 1, within=WITHIN)


def listeners(url: str) -> int:
    """How many sessions listen."""
    with psycopg.connect(url) as looking:
        found = looking.cursor().execute("SELECT FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
        return found.rowcount


def _surprised(*_: object, **__: object) -> None:
    raise RuntimeError("a surprise")
