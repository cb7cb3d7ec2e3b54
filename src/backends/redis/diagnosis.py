"""What a Redis server keeps, may lose, and lacks: read from what it tells of itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from msgspec import Struct
from redis.exceptions import ResponseError

from jobcore.backend import Finding, Level, clock_finding, round_trip, server_finding
from jobcore.backends.redis.link import Connection, exchange
from jobcore.backends.redis.scripts import command

_SETTINGS: Final = (b"appendfsync", b"save", b"min-replicas-to-write", b"maxclients")
_OLDEST: Final = (6, 2)
_FULL: Final = 0.9


class Facts(Struct, frozen=True):
    """What one server tells.

    Attributes:
        info: the lines of INFO.
        settings: what CONFIG GET gives; None where that is not permitted.
        latency: seconds of a round trip, the median of some.
        ahead: seconds by which its clock is ahead of ours.
    """

    info: dict[str, str]
    settings: dict[str, str] | None
    latency: float
    ahead: float

    def number(self, name: str) -> int:
        """A number of INFO; 0 where it is not told."""
        return int(self.info.get(name, 0))


def read_facts(connection: Connection) -> Facts:
    """Ask a server. Changes nothing."""
    lines = exchange(connection, command(b"INFO")).decode(errors="replace").splitlines()
    info = dict(line.split(":", 1) for line in lines if ":" in line)
    latency = round_trip(lambda: exchange(connection, command(b"PING")))
    return Facts(info, _settings(connection), latency, _ahead(connection))


def keys_like(connection: Connection, pattern: bytes) -> set[bytes]:
    """The names of keys that are like a pattern, read in steps that don't hold up the server."""
    found, step = set[bytes](), b"0"
    while True:
        step, keys = exchange(connection, command(b"SCAN", step, b"MATCH", pattern, b"COUNT", b"1000"))
        found.update(keys)
        if step == b"0":
            return found


def _settings(connection: Connection) -> dict[str, str] | None:
    found: dict[str, str] = {}
    for name in _SETTINGS:  # one by one: 6.2 takes no more
        try:
            pair = exchange(connection, command(b"CONFIG", b"GET", name))
        except ResponseError:  # managed servers have no CONFIG, and users without rights to it get none
            return None
        found |= {pair[0].decode(): pair[1].decode()} if pair else {}
    return found


def _ahead(connection: Connection) -> float:
    before = time.time()
    seconds, micros = exchange(connection, command(b"TIME"))
    return int(seconds) + int(micros) / 1e6 - (before + time.time()) / 2


def findings(facts: Facts) -> Iterator[Finding]:
    """What follows from a server's facts."""
    for part in (_server, _persistence, _writing, _eviction, _memory, _replication, _clients, _clock):
        yield from part(facts)


def _server(facts: Facts) -> Iterator[Finding]:
    name = "Valkey" if "valkey_version" in facts.info else "Redis"
    version = facts.info.get("valkey_version") or facts.info.get("redis_version", "0")
    mode = facts.info.get("redis_mode", "standalone")
    outdated = name == "Redis" and tuple(int(part) for part in version.split(".")[:2]) < _OLDEST
    why = "scripts may fail: 6.2 is the oldest that is supported" if outdated else ""
    yield server_finding(f"{name} {version}, {mode}", facts.latency, why)


def _persistence(facts: Facts) -> Iterator[Finding]:
    report = partial(Finding, about="persistence")
    if facts.info.get("aof_enabled") == "1":
        yield from _append_only(facts, report)
    elif facts.settings is None:
        since = time.time() - facts.number("rdb_last_save_time")
        yield report(
            Level.DANGER,
            found=f"there is no append-only file; the last snapshot was saved {since:.0f} s ago",
            consequence="a crash of Redis loses what was acknowledged since then; it does not tell if it saves at all",
            remedy=_APPEND,
        )
    elif facts.settings.get("save"):
        yield report(
            Level.DANGER,
            found=f"snapshots only (save {facts.settings['save']})",
            consequence="a crash of Redis loses every acknowledged job since the last snapshot",
            remedy=_APPEND,
        )
    else:
        yield report(
            Level.DANGER,
            found="nothing is kept on disk",
            consequence="a restart of Redis loses every job",
            remedy=_APPEND,
        )


_APPEND: Final = "CONFIG SET appendonly yes; CONFIG SET appendfsync always; CONFIG REWRITE"


def _append_only(facts: Facts, report: Callable[..., Finding]) -> Iterator[Finding]:
    match (facts.settings or {}).get("appendfsync"):
        case "always":
            yield report(Level.OK, found="append-only file, written to disk before each answer")
        case "everysec":
            yield report(
                Level.WARNING,
                found="append-only file, written to disk each second",
                consequence="a crash of the machine loses up to two seconds of acknowledged jobs; of Redis alone, none",
                remedy="CONFIG SET appendfsync always; CONFIG REWRITE (slower: jobcore's batches soften that)",
            )
        case None:
            yield report(
                Level.NOTE,
                found="append-only file; this user may not see how often it is written to disk",
                consequence="where that is each second, a crash of the machine loses up to two of acknowledged jobs",
                remedy="ask for appendfsync, or allow the user +config|get",
            )
        case how:
            yield report(
                Level.WARNING,
                found=f"append-only file, written to disk when the system likes (appendfsync {how})",
                consequence="a crash of the machine loses acknowledged jobs of half a minute or more",
                remedy="CONFIG SET appendfsync always; CONFIG REWRITE",
            )


def _writing(facts: Facts) -> Iterator[Finding]:
    for name, what in (
        ("aof_last_write_status", "the append-only file"),
        ("aof_last_bgrewrite_status", "a rewrite of the append-only file"),
        ("rdb_last_bgsave_status", "a snapshot"),
    ):
        if facts.info.get(name, "ok") != "ok":
            yield Finding(
                Level.DANGER,
                "disk",
                f"the last write of {what} failed",
                "Redis may refuse all writes (MISCONF), and a restart loses what is not on disk",
                "free the disk or mend its rights, then BGREWRITEAOF or BGSAVE",
            )


def _eviction(facts: Facts) -> Iterator[Finding]:
    policy = facts.info.get("maxmemory_policy", "noeviction")
    if policy == "noeviction":
        yield Finding(Level.OK, "eviction", "none (noeviction)")
    elif facts.number("maxmemory"):
        yield Finding(
            Level.DANGER,
            "eviction",
            f"maxmemory-policy {policy}",
            "when memory is full, Redis deletes whole keys: a queue's jobs, all at once",
            "CONFIG SET maxmemory-policy noeviction; CONFIG REWRITE",
        )
    else:
        yield Finding(
            Level.WARNING,
            "eviction",
            f"maxmemory-policy {policy}, but there is no maxmemory yet",
            "once there is, Redis deletes whole queues when memory is full",
            "CONFIG SET maxmemory-policy noeviction; CONFIG REWRITE",
        )


def _memory(facts: Facts) -> Iterator[Finding]:
    used, limit = facts.number("used_memory"), facts.number("maxmemory")
    if not limit:
        machine = facts.number("total_system_memory")
        yield Finding(
            Level.WARNING if machine and used > _FULL * machine else Level.OK,
            "memory",
            f"{_size(used)} used, with no limit but the machine's {_size(machine)}",
            "a machine without memory kills Redis" if used > _FULL * machine else "",
            "CONFIG SET maxmemory …: then pushes are refused in its place" if used > _FULL * machine else "",
        )
    elif used > _FULL * limit:
        yield Finding(
            Level.DANGER if used >= limit else Level.WARNING,
            "memory",
            f"{_size(used)} of {_size(limit)} used",
            "once it is full, pushes are refused (OOM); claims and settlements go on",
            "drain queues, lower keep_failed and keep_succeeded, or CONFIG SET maxmemory …",
        )
    else:
        yield Finding(Level.OK, "memory", f"{_size(used)} of {_size(limit)} used")


def _replication(facts: Facts) -> Iterator[Finding]:
    if facts.info.get("role") == "slave":
        yield Finding(
            Level.DANGER,
            "replication",
            "this is a replica",
            "every write is refused (READONLY)",
            "give the URL of the primary",
        )
        return
    replicas, wanted = facts.number("connected_slaves"), int((facts.settings or {}).get("min-replicas-to-write", 0))
    if wanted > replicas:
        yield Finding(
            Level.DANGER,
            "replication",
            f"{replicas} of the {wanted} replicas that a write needs",
            "every write is refused (NOREPLICAS)",
            "bring the replicas back, or CONFIG SET min-replicas-to-write 0",
        )
    elif replicas:
        yield Finding(
            Level.WARNING,
            "replication",
            f"{replicas} replica{'s' * (replicas > 1)}, which follow without the primary waiting for them",
            "a failover loses what was acknowledged and had not reached the replica that takes over",
            "?replicas=1 acknowledges a push once a replica has it; min-replicas-to-write bounds the rest",
        )
    else:
        yield Finding(Level.OK, "replication", "no replica: nothing takes over, and nothing is lost by that")


def _clients(facts: Facts) -> Iterator[Finding]:
    limit = facts.number("maxclients") or int((facts.settings or {}).get("maxclients", 0))
    clients = facts.number("connected_clients")
    if limit and clients > _FULL * limit:
        yield Finding(
            Level.WARNING,
            "clients",
            f"{clients:,} of {limit:,} connections",
            "further workers and producers are turned away",
            "CONFIG SET maxclients …, or fewer processes",
        )


def _clock(facts: Facts) -> Iterator[Finding]:
    yield clock_finding(facts.ahead)


def _size(number: int) -> str:
    for power, unit in ((3, "GiB"), (2, "MiB"), (1, "KiB")):
        if number >= 1024**power:
            return f"{number / 1024**power:.1f} {unit}"
    return f"{number} B"
