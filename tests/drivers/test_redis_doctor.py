"""Each finding on a Redis, made true on a real server."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import pytest
from redis import Redis

from jobcore.backend import Finding, Level, Push
from jobcore.backends.redis import RedisBackend
from jobcore.backends.redis.diagnosis import Facts, findings
from jobcore.connect import open_backend

from servers import redis

Start = Callable[..., redis.Server]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts servers with the command line options given, for as long as the test takes."""
    with ExitStack() as stack:
        yield lambda *config, **options: stack.enter_context(
            redis.server(config=["--loglevel", "warning", *config], **options)
        )


def told(server: redis.Server, about: str) -> Finding:
    """The one thing that is found about a topic."""
    backend = RedisBackend(server.client())
    try:
        (found,) = [finding for finding in backend.diagnose() if finding.about == about]
    finally:
        backend.close()
    return found


def test_a_sound_server_has_nothing_amiss(start: Start) -> None:
    server = start("--appendonly", "yes", "--appendfsync", "always", "--maxmemory", "100mb")
    backend = RedisBackend(server.client())
    assert {finding.level for finding in backend.diagnose()} == {Level.OK}
    backend.close()


@pytest.mark.parametrize(
    ("config", "level", "found"),
    [
        ((), Level.DANGER, "nothing is kept on disk"),
        (("--save", "900 1"), Level.DANGER, "snapshots only (save 900 1)"),
        (("--appendonly", "yes"), Level.WARNING, "append-only file, written to disk each second"),
        (
            ("--appendonly", "yes", "--appendfsync", "no"),
            Level.WARNING,
            "append-only file, written to disk when the system likes (appendfsync no)",
        ),
        (
            ("--appendonly", "yes", "--appendfsync", "always"),
            Level.OK,
            "append-only file, written to disk before each answer",
        ),
    ],
)
def test_persistence(start: Start, config: Sequence[str], level: Level, found: str) -> None:
    finding = told(start(*config), "persistence")
    assert (finding.level, finding.found) == (level, found)
    assert bool(finding.consequence and finding.remedy) == (level is not Level.OK)


def test_a_user_who_may_not_see_the_settings_is_told_so(start: Start) -> None:
    server = start("--appendonly", "yes", "--appendfsync", "always")
    with server.client() as client:
        client.acl_setuser("worker", enabled=True, nopass=True, keys="*", commands=["+@all", "-config"])
    backend = open_backend(server.url.replace("//", "//worker:any@"))
    (found,) = [finding for finding in backend.diagnose() if finding.about == "persistence"]
    assert found.level is Level.NOTE
    assert "may not see" in found.found
    backend.close()


def test_without_settings_a_missing_file_is_danger_all_the_same(start: Start) -> None:
    server = start()
    with server.client() as client:
        client.acl_setuser("worker", enabled=True, nopass=True, keys="*", commands=["+@all", "-config"])
    backend = open_backend(server.url.replace("//", "//worker:any@"))
    (found,) = [finding for finding in backend.diagnose() if finding.about == "persistence"]
    assert found.level is Level.DANGER
    backend.close()


def test_a_policy_that_evicts(start: Start) -> None:
    assert told(start("--maxmemory-policy", "allkeys-lru"), "eviction").level is Level.WARNING
    assert told(start("--maxmemory-policy", "allkeys-lru", "--maxmemory", "50mb"), "eviction").level is Level.DANGER


def test_memory_that_runs_out(start: Start) -> None:
    server = start("--maxmemory", "1000mb")
    with server.client() as client:
        client.set("ballast", bytes(20_000_000))
        used = client.info("memory")["used_memory"]
        client.config_set("maxmemory", int(used * 1.05))
        assert told(server, "memory").level is Level.WARNING
        client.config_set("maxmemory", int(used / 2))
        assert told(server, "memory").level is Level.DANGER


def test_a_primary_with_a_replica_may_lose_by_a_failover(start: Start) -> None:
    primary = start()
    replica = start("--replicaof", "127.0.0.1", primary.url.rpartition(":")[2])
    with primary.client() as client:
        redis.wait_until(lambda: client.info("replication")["connected_slaves"] == 1)
    found = told(primary, "replication")
    assert (found.level, found.found.partition(",")[0]) == (Level.WARNING, "1 replica")
    assert told(replica, "replication").level is Level.DANGER


def test_too_few_replicas_to_write(start: Start) -> None:
    found = told(start("--min-replicas-to-write", "1"), "replication")
    assert (found.level, found.found) == (Level.DANGER, "0 of the 1 replicas that a write needs")


def test_a_disk_that_cannot_be_written(start: Start) -> None:
    server = start()
    with server.client() as client:
        shutil.rmtree(client.config_get("dir")["dir"])
        client.bgsave()
        redis.wait_until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")
    found = told(server, "disk")
    assert (found.level, found.found) == (Level.DANGER, "the last write of a snapshot failed")


def test_connections_that_run_out(start: Start) -> None:
    server = start("--maxclients", "10")
    clients = [Redis.from_url(server.url) for _ in range(9)]
    for client in clients:
        client.ping()
    assert told(server, "clients").level is Level.WARNING
    for client in clients:
        client.close()


def test_an_old_server_a_slow_one_and_one_whose_clock_is_wrong() -> None:
    # No such server can be started here: what a real one tells is changed.
    facts = Facts({"redis_version": "6.0.9"}, {}, latency=0.05, ahead=-90.0)
    levels = {finding.about: (finding.level, finding.found) for finding in findings(facts)}
    assert levels["server"][0] is Level.DANGER
    assert levels["clock"] == (Level.WARNING, "the server's clock is 90.0 s behind this one's")
    slow = Facts({"redis_version": "7.2.0"}, {}, latency=0.05, ahead=0.0)
    assert next(findings(slow)).level is Level.WARNING


@pytest.mark.parametrize("cluster", [False, True])
def test_the_queues_that_there_are(cluster: bool) -> None:
    with redis.server(cluster=cluster, config=["--loglevel", "warning"]) as server:
        url = server.url.replace("redis:", "redis+cluster:") if cluster else server.url
        backend, other = open_backend(url), open_backend(f"{url}?prefix=jobcore:mail")
        backend.push("mail", [Push("a", b"{}")])
        backend.push("mail.more", [Push("a", b"{}")])
        other.push("theirs", [Push("a", b"{}")])
        assert backend.queues() == ["mail", "mail.more"]
        assert other.queues() == ["theirs"]
        backend.close()
        other.close()
