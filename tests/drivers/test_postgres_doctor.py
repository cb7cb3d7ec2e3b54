"""Each finding on a PostgreSQL, made true on a real server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

import psycopg
import pytest
from core.loops import eventually
from msgspec.structs import replace

from jobcore.backend import Finding, Level, Makes, Push, Refused
from jobcore.backends.postgres import PostgresBackend, diagnosis
from jobcore.connect import open_backend

from servers import postgres


@pytest.fixture
def url(postgres_url: str) -> Iterator[str]:
    """A database of this test's own."""
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute("CREATE DATABASE doctor")
        yield postgres_url.replace("/postgres", "/doctor")
        admin.execute("DROP DATABASE doctor WITH (FORCE)")


@pytest.fixture
def backend(url: str) -> Iterator[PostgresBackend]:
    """On tables that are there, with one job."""
    with closing(open_backend(url)) as backend:
        assert isinstance(backend, PostgresBackend)
        fill(backend, url)
        yield backend


@pytest.fixture(scope="module")
def durable() -> Iterator[str]:
    """A server as it is in earnest, which can do more than the tests' usual one."""
    more = {"wal_level": "logical", "max_prepared_transactions": "5"}
    with postgres.server(fsync="on", full_page_writes="on", autovacuum="on", **more) as server:
        yield server.url


@contextmanager
def session(url: str) -> Iterator[psycopg.Connection]:
    """Another program's session."""
    with closing(psycopg.connect(url, application_name="reports", autocommit=True)) as connection:
        yield connection


def fill(backend: PostgresBackend, url: str) -> None:
    """Push a job, and do what the first worker does."""
    backend.push("q", [Push("a", b"{}")])
    with session(url) as worker:
        worker.execute("SELECT jobcore.ensure_triggers()")


def told(backend: PostgresBackend, about: str) -> Finding:
    """The worst that is found about a topic."""
    found = [finding for finding in backend.diagnose() if finding.about == about]
    return max(found, key=lambda finding: finding.level.weight)


def told_at(url: str, about: str) -> Finding:
    with closing(open_backend(url)) as backend:
        assert isinstance(backend, PostgresBackend)
        return told(backend, about)


@contextmanager
def altered(url: str, **settings: str) -> Iterator[None]:
    """The server with other settings, for new sessions of a database."""
    with session(url) as admin:
        for name, value in settings.items():
            admin.execute(f"ALTER DATABASE doctor SET {name} = {value}")
        yield
        for name in settings:
            admin.execute(f"ALTER DATABASE doctor RESET {name}")


def test_a_sound_server_has_nothing_amiss(durable: str) -> None:
    with closing(open_backend(durable)) as backend:
        assert isinstance(backend, PostgresBackend)
        fill(backend, durable)
        assert [finding for finding in backend.diagnose() if finding.level is not Level.OK] == []


def test_looking_makes_no_tables(url: str) -> None:
    with closing(open_backend(url)) as backend:
        assert isinstance(backend, PostgresBackend)
        assert told(backend, "schema").level is Level.NOTE
        assert backend.queues() == []
    with session(url) as looker:
        assert looker.execute("SELECT to_regnamespace('jobcore')").fetchone() == (None,)


def test_tables_that_are_still_to_be_made(url: str) -> None:
    with closing(open_backend(f"{url}?schema=typo")) as backend:
        assert isinstance(backend, Makes)
        assert backend.unmade() == "there are no tables in the schema 'typo' yet"
        assert told(backend, "schema").level is Level.NOTE  # and so they were not made
        backend.push("q", [Push("a", b"{}")])
        assert backend.unmade() is None


def test_the_queues_that_there_are(backend: PostgresBackend) -> None:
    backend.push("other", [Push("a", b"{}", delay=1_000_000_000)])
    backend.push("remembered", [Push("a", b"{}", remember=1000)])
    backend.remove("remembered", ["a"])
    assert backend.queues() == ["other", "q"]


def test_a_server_that_does_not_write_to_disk(backend: PostgresBackend) -> None:
    # The tests' own server is such a one.
    found = [finding.found for finding in backend.diagnose() if finding.level is Level.DANGER]
    assert "fsync is off" in found


def test_commits_that_do_not_wait_for_the_disk(url: str) -> None:
    with altered(url, synchronous_commit="off"):
        found = [finding.found for finding in _findings(url) if finding.about == "durability"]
    assert "synchronous_commit is off" in found


def test_a_database_that_may_only_be_read(url: str) -> None:
    with altered(url, default_transaction_read_only="on"):
        assert told_at(url, "writing").level is Level.DANGER


def test_a_synchronous_standby_that_does_not_answer(durable: str) -> None:
    with session(durable) as admin:
        named(admin, "gone")
        found = told_at(durable, "replication")
        named(admin, "")
    assert (found.level, "'gone'" in found.found) == (Level.DANGER, True)


def named(admin: psycopg.Connection, standby: str) -> None:
    """Have commits wait for a standby. Neither statement commits anything."""
    admin.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{standby}'")
    admin.execute("SELECT pg_reload_conf()")
    while admin.execute("SHOW synchronous_standby_names").fetchone() != (standby,):
        continue


def test_missing_rights_are_named_with_the_grant_that_mends_them(backend: PostgresBackend, url: str) -> None:
    with session(url) as admin:
        admin.execute("CREATE ROLE doctored LOGIN")
        try:
            theirs = url.replace("//jobcore@", "//doctored@")
            assert 'GRANT USAGE ON SCHEMA "jobcore" TO …;' in [finding.remedy for finding in _findings(theirs)]
            admin.execute("GRANT USAGE ON SCHEMA jobcore TO doctored")
            assert told_at(theirs, "schema").level is Level.OK  # which they may not see; that is told apart
            with closing(open_backend(theirs)) as blind, pytest.raises(Refused, match="permission denied"):
                blind.queues()
            admin.execute("GRANT SELECT ON ALL TABLES IN SCHEMA jobcore TO doctored")
            found = [finding for finding in _findings(theirs) if finding.about == "rights"]
            assert 'GRANT DELETE, INSERT, UPDATE ON TABLE "jobcore".jobs TO …;' in {one.remedy for one in found}
            assert told_at(theirs, "old snapshot").found == "this user may not see others' transactions"
            for one in found:
                admin.execute(one.remedy.replace("…", "doctored"))
            assert not [finding for finding in _findings(theirs) if finding.about == "rights"]
        finally:
            admin.execute("DROP OWNED BY doctored")
            admin.execute("DROP ROLE doctored")


def test_a_user_who_may_not_make_the_tables(url: str) -> None:
    with session(url) as admin:
        admin.execute("CREATE ROLE doctored LOGIN")
        try:
            assert told_at(url.replace("//jobcore@", "//doctored@"), "schema").level is Level.DANGER
        finally:
            admin.execute("DROP ROLE doctored")


def test_a_disabled_trigger(backend: PostgresBackend, url: str) -> None:
    assert not [finding for finding in backend.diagnose() if finding.about == "triggers"]
    with session(url) as admin:
        admin.execute("ALTER TABLE jobcore.jobs DISABLE TRIGGER jobs_inserted")
    found = told(backend, "triggers")
    with session(url) as admin:
        admin.execute(found.remedy)
    assert not [finding for finding in backend.diagnose() if finding.about == "triggers"]


def test_a_schema_that_is_older_or_newer(backend: PostgresBackend, url: str) -> None:
    with session(url) as admin:
        admin.execute("INSERT INTO jobcore.migrations VALUES (999, 'from_the_future')")
        assert told(backend, "schema").level is Level.WARNING
        admin.execute("DELETE FROM jobcore.migrations WHERE number IN (2, 999)")
        assert told(backend, "schema").found == "jobcore lacks enqueue"


def test_an_old_snapshot(backend: PostgresBackend, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "_LONG_SECONDS", 0.0)
    with session(url) as other:
        other.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        other.execute("SELECT 1")
        found = told(backend, "old snapshot")
        assert "reports" in found.found
        with session(url) as admin:
            admin.execute(found.remedy)
        with pytest.raises(psycopg.OperationalError):
            other.execute("SELECT 1")


def test_a_replication_slot_that_nobody_uses(durable: str) -> None:
    with session(durable) as admin:
        admin.execute("SELECT pg_create_logical_replication_slot('forgotten', 'pgoutput')")
        found = told_at(durable, "old snapshot")
        assert "forgotten" in found.found
        admin.execute(found.remedy)


def test_a_transaction_that_was_prepared_and_forgotten(durable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "_LONG_SECONDS", 0.0)
    with session(durable) as other:
        other.execute("BEGIN")
        other.execute("CREATE TABLE something ()")
        other.execute("PREPARE TRANSACTION 'forgotten'")
        assert "prepared" in told_at(durable, "old snapshot").found
        other.execute("ROLLBACK PREPARED 'forgotten'")


def test_a_table_that_is_not_vacuumed(backend: PostgresBackend, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "_MANY_DEAD", 10)
    with session(url) as admin:
        admin.execute("ALTER TABLE jobcore.jobs SET (autovacuum_enabled = false)")
        assert told(backend, "vacuum").found == "autovacuum is off"
        admin.execute("ALTER TABLE jobcore.jobs RESET (autovacuum_enabled)")
        backend.push("q", [Push(f"{n}", b"{}") for n in range(20)])
        admin.execute("UPDATE jobcore.jobs SET lost = lost")
        admin.execute("UPDATE jobcore.jobs SET lost = lost")
        with suppress(psycopg.errors.UndefinedFunction):  # before 15, they come after some statement
            admin.execute("SELECT pg_stat_force_next_flush()")

        def dead() -> bool:
            admin.execute("SELECT 1")
            return "dead rows" in [finding.found for finding in backend.diagnose() if finding.about == "vacuum"][-1]

        eventually(dead)


def test_connections_that_run_out(backend: PostgresBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "_FULL", 0.0)
    assert told(backend, "connections").level is Level.WARNING


def test_a_pooler_is_noticed(backend: PostgresBackend, url: str) -> None:
    with pooler(url) as through:
        assert told_at(through, "pooler").remedy.startswith("?prepare=off&notify=off in the URL")
        assert told_at(f"{through}?prepare=off&notify=off", "pooler").level is Level.OK
    assert not [finding for finding in backend.diagnose() if finding.about == "pooler"]


def test_what_no_server_here_can_show(backend: PostgresBackend) -> None:
    # An old server, a far one, a wrong clock, a standby: what a real one tells is changed.
    facts = diagnosis.read_facts(backend._database, notify=True)
    old = replace(facts, number=120000, ahead=90.0, standby=True, replicas=2)
    levels = {finding.about: (finding.level, finding.found) for finding in diagnosis.findings(old)}
    assert levels["server"][0] is levels["writing"][0] is Level.DANGER
    assert levels["clock"] == (Level.WARNING, "the server's clock is 90.0 s ahead of this one's")
    assert levels["replication"][0] is Level.WARNING
    waiting = replace(facts, replicas=2, synchronous_replicas=1, synchronous_standby_names="ANY 1 (*)")
    (found,) = [finding for finding in diagnosis.findings(waiting) if finding.about == "replication"]
    assert (found.level, found.found.partition(";")[0]) == (Level.OK, "2 standbys")
    assert next(diagnosis.findings(replace(facts, latency=0.05))).level is Level.WARNING


def _findings(url: str) -> list[Finding]:
    with closing(open_backend(url)) as backend:
        assert isinstance(backend, PostgresBackend)
        return backend.diagnose()


@contextmanager
def pooler(url: str) -> Iterator[str]:
    """What a pooler is to its clients: it answers a start with a session's number of its own."""
    parts = urlsplit(url)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = _Pooler(listener, (parts.hostname or "", parts.port or 0))
        threading.Thread(target=server.run, daemon=True).start()
        yield url.replace(f":{parts.port}", f":{listener.getsockname()[1]}")


@dataclass
class _Pooler:
    listener: socket.socket
    server: tuple[str, int]

    def run(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        upstream = socket.create_connection(self.server)
        threading.Thread(target=self._pump, args=[client, upstream], daemon=True).start()
        self._pump(upstream, client, started=False)

    def _pump(self, source: socket.socket, sink: socket.socket, *, started: bool = True) -> None:
        with suppress(OSError), closing(source), closing(sink):
            while data := source.recv(65536):
                at = -1 if started else data.find(b"K\0\0\0\x0c")  # BackendKeyData: length 12, process id, secret
                if at >= 0:
                    started, data = True, data[: at + 5] + b"\x7f\0\0\1" + data[at + 9 :]
                sink.sendall(data)
