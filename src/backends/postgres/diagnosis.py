"""What a PostgreSQL server keeps, may lose, and lacks: read from what it tells of itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import Struct
from psycopg import errors

from jobcore.backend import Finding, Level, Refused, clock_finding, round_trip, server_finding
from jobcore.backends.postgres.connections import Connection
from jobcore.backends.postgres.database import UNMADE, Database

_OLDEST: Final = 130000
_LONG_SECONDS: Final = 300.0
_MANY_DEAD: Final = 100_000
_FULL: Final = 0.9
_TRIGGERS: Final = 4


class Oldest(Struct, frozen=True):
    """The session whose transaction has been open longest, in seconds."""

    pid: int
    application_name: str
    seconds: float


class Facts(Struct, frozen=True):
    """What `diagnose.sql` gives, and what was measured beside it."""

    version: str
    number: int
    pid: int
    now: float
    fsync: bool
    full_page_writes: bool
    synchronous_commit: str
    synchronous_standby_names: str
    standby: bool
    read_only: bool
    sees_all: bool
    replicas: int
    synchronous_replicas: int
    connections: int
    max_connections: int
    oldest: Oldest | None
    prepared: float | None
    slots: list[str] | None
    autovacuum: bool
    live: int
    dead: int
    made: bool
    may_make: bool
    missing: dict[str, str] | None
    triggers: int
    latency: float
    ahead: float
    pooled: bool
    steps_missing: list[str]
    steps_unknown: list[str]
    schema: str
    notify: bool
    prepare: bool


def read_facts(database: Database, *, notify: bool) -> Facts:
    """Ask the server. Changes nothing, and makes no schema. Raises as `Connections.call`."""
    return database.connections.call(lambda connection: _read(connection, database, notify))


def _read(connection: Connection, database: Database, notify: bool) -> Facts:
    statements, before = database.statements, time.time()
    (told,) = connection.execute(statements["diagnose"]).fetchall()
    between = (before + time.time()) / 2
    known: dict[str, Any] = told[0]
    taken = _taken(connection, database) if known["made"] else {}
    steps = {step.number: step.name for step in statements.steps}
    more = {
        "latency": round_trip(lambda: connection.execute("SELECT 1")),
        "ahead": known["now"] - between,
        "pooled": known["pid"] != connection.info.backend_pid,
        "steps_missing": [name for number, name in steps.items() if number not in taken],
        "steps_unknown": [name for number, name in taken.items() if number not in steps],
        "schema": statements.schema,
        "notify": notify,
        "prepare": database.connections.prepare,
    }
    return msgspec.convert(known | more, Facts)


def _taken(connection: Connection, database: Database) -> dict[int, str]:
    try:
        return dict(connection.execute(database.statements["taken"]).fetchall())
    except errors.InsufficientPrivilege:  # which is found and told apart
        return {step.number: step.name for step in database.statements.steps}


def queues(database: Database) -> list[str]:
    """The names of the queues that hold jobs; none where the schema is still to be made."""
    try:
        found = database.connections.call(
            lambda connection: connection.execute(database.statements["queues"]).fetchall()
        )
    except Refused as error:
        if isinstance(error.__cause__, UNMADE):
            return []
        raise
    return [name for (name,) in found]


def findings(facts: Facts) -> Iterator[Finding]:
    """What follows from a server's facts."""
    for part in (
        _server, _durability, _writing, _replication, _schema, _rights, _triggers, _pooler, _snapshots, _vacuum,
        _connections, _clock,
    ):  # fmt: skip
        yield from part(facts)


def _server(facts: Facts) -> Iterator[Finding]:
    outdated = "13 is the oldest that is supported" if facts.number < _OLDEST else ""
    yield server_finding(f"PostgreSQL {facts.version}", facts.latency, outdated)


def _durability(facts: Facts) -> Iterator[Finding]:
    for name, on in (("fsync", facts.fsync), ("full_page_writes", facts.full_page_writes)):
        if not on:
            yield Finding(
                Level.DANGER,
                "durability",
                f"{name} is off",
                "a crash of the machine may destroy the whole database",
                f"ALTER SYSTEM SET {name} = on; SELECT pg_reload_conf();",
            )
    if facts.synchronous_commit == "off":
        yield Finding(
            Level.WARNING,
            "durability",
            "synchronous_commit is off",
            "a crash of the server loses the last moments of acknowledged jobs, up to 0.6 s by default",
            "ALTER ROLE … SET synchronous_commit = on",
        )
    elif facts.fsync and facts.full_page_writes:
        said = f"what is acknowledged is on disk (synchronous_commit={facts.synchronous_commit})"
        yield Finding(Level.OK, "durability", said)


def _writing(facts: Facts) -> Iterator[Finding]:
    if facts.standby:
        yield Finding(
            Level.DANGER, "writing", "this is a standby", "every write is refused", "give the URL of the primary"
        )
    elif facts.read_only:
        yield Finding(
            Level.DANGER,
            "writing",
            "default_transaction_read_only is on",
            "every write is refused; some hosts set this when a disk is full",
            "free space, then ALTER DATABASE … SET default_transaction_read_only = off",
        )


def _replication(facts: Facts) -> Iterator[Finding]:
    wanted = bool(facts.synchronous_standby_names) and facts.synchronous_commit not in {"off", "local"}
    if wanted and facts.sees_all and not facts.synchronous_replicas:
        yield Finding(
            Level.DANGER,
            "replication",
            f"no standby answers to synchronous_standby_names = '{facts.synchronous_standby_names}'",
            "commits wait for it; when a call's timeout ends that wait, PostgreSQL says that it is done, though no "
            "standby has it, and a failover then loses it",
            "bring the standby back, or name one that lives",
        )
    elif facts.replicas and not wanted:
        yield Finding(
            Level.WARNING,
            "replication",
            f"{facts.replicas} standby{'s' * (facts.replicas > 1)}, which the primary does not wait for",
            "a failover loses what was acknowledged and had not reached the standby that takes over",
            "ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (*)'; SELECT pg_reload_conf();",
        )
    elif facts.replicas:
        said = f"{facts.replicas} standby{'s' * (facts.replicas > 1)}; commits wait as synchronous_standby_names says"
        yield Finding(Level.OK, "replication", said)
    else:
        yield Finding(Level.OK, "replication", "no standby: nothing takes over, and nothing is lost by that")


def _schema(facts: Facts) -> Iterator[Finding]:
    if not facts.made:
        yield Finding(
            Level.NOTE if facts.may_make else Level.DANGER,
            "schema",
            f"there are no tables in {facts.schema} yet",
            "the first use makes them" if facts.may_make else "this user may not make them",
            "" if facts.may_make else "jobcore migrate URL, as a user who may",
        )
    elif facts.steps_unknown:
        yield Finding(
            Level.WARNING,
            "schema",
            f"{facts.schema} is newer than this jobcore: it has {', '.join(facts.steps_unknown)}",
            "an older worker goes on as far as the tables allow",
            "upgrade jobcore here",
        )
    elif facts.steps_missing:
        yield Finding(
            Level.NOTE,
            "schema",
            f"{facts.schema} lacks {', '.join(facts.steps_missing)}",
            "the next use takes these steps, if its user may",
            "jobcore migrate URL",
        )
    else:
        yield Finding(Level.OK, "schema", f"{facts.schema} is up to date")


def _rights(facts: Facts) -> Iterator[Finding]:
    for number, (where, privileges) in enumerate(sorted((facts.missing or {}).items())):
        yield Finding(
            Level.DANGER,
            "rights",
            f"this user lacks {privileges} on {where}",
            "" if number else "it can't be a worker; a producer needs less, see the driver's documentation",
            f"GRANT {privileges} ON {where} TO …;",
        )


def _triggers(facts: Facts) -> Iterator[Finding]:
    if facts.made and facts.notify and facts.triggers < _TRIGGERS:
        yield Finding(
            Level.NOTE,
            "triggers",
            f"{_TRIGGERS - facts.triggers} of {_TRIGGERS} are missing or disabled",
            "jobs that other programs insert are found by polling, and what they delete counts as kept for up to a "
            "minute; waiting workers make them anew",
            f'SELECT "{facts.schema}".ensure_triggers();',
        )


def _pooler(facts: Facts) -> Iterator[Finding]:
    if not facts.pooled:
        return
    wrong = [f"{name}=off" for name, on in (("prepare", facts.prepare), ("notify", facts.notify)) if on]
    yield Finding(
        Level.WARNING if wrong else Level.OK,
        "pooler",
        "a pooler stands between",
        "if it lends a session for a transaction at a time, prepared statements and notifications go astray"
        if wrong
        else "",
        f"?{'&'.join(wrong)} in the URL, or have it pool by session" if wrong else "",
    )


def _snapshots(facts: Facts) -> Iterator[Finding]:
    consequence = "vacuum removes nothing that died since: the tables grow, and claims slow"
    if facts.oldest and facts.oldest.seconds > _LONG_SECONDS:
        yield Finding(
            Level.WARNING,
            "old snapshot",
            f"session {facts.oldest.pid} ({facts.oldest.application_name or 'no name'}) has had a transaction open "
            f"for {facts.oldest.seconds / 60:.0f} min",
            consequence,
            f"SELECT pg_terminate_backend({facts.oldest.pid});",
        )
    if facts.prepared and facts.prepared > _LONG_SECONDS:
        yield Finding(
            Level.WARNING,
            "old snapshot",
            f"a transaction was prepared {facts.prepared / 60:.0f} min ago and not ended",
            consequence,
            "SELECT gid FROM pg_prepared_xacts; then COMMIT PREPARED or ROLLBACK PREPARED",
        )
    for slot in facts.slots or ():
        yield Finding(
            Level.WARNING,
            "old snapshot",
            f"the replication slot {slot} is not in use, and holds back vacuum",
            consequence,
            f"SELECT pg_drop_replication_slot('{slot}');",
        )
    if not facts.sees_all:
        yield Finding(
            Level.NOTE,
            "old snapshot",
            "this user may not see others' transactions",
            "one that stays open keeps vacuum from its work, unseen",
            "GRANT pg_read_all_stats TO …;",
        )


def _vacuum(facts: Facts) -> Iterator[Finding]:
    if not facts.autovacuum:
        yield Finding(
            Level.WARNING,
            "vacuum",
            "autovacuum is off",
            "dead rows are never removed: the tables grow, and claims slow",
            "ALTER SYSTEM SET autovacuum = on; SELECT pg_reload_conf();",
        )
    if facts.dead > max(_MANY_DEAD, facts.live):
        yield Finding(
            Level.WARNING,
            "vacuum",
            f"{facts.dead:,} dead rows beside {facts.live:,} live ones in jobs",
            "claims read past them",
            f'VACUUM "{facts.schema}".jobs; if that removes few, look for an old snapshot',
        )


def _connections(facts: Facts) -> Iterator[Finding]:
    if facts.connections > _FULL * facts.max_connections:
        yield Finding(
            Level.WARNING,
            "connections",
            f"{facts.connections} of {facts.max_connections}",
            "further workers and producers are turned away",
            "a pooler in front, fewer processes, or a greater max_connections",
        )


def _clock(facts: Facts) -> Iterator[Finding]:
    yield clock_finding(facts.ahead)
