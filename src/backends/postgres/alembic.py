"""For schemas that Alembic sees to: the steps as operations, and the tables as metadata to compare with.

In a revision:

    from jobcore.backends.postgres.alembic import upgrade as upgrade_jobcore

    def upgrade():
        upgrade_jobcore(op, to=4)              # and in a later one: upgrade_jobcore(op, since=4, to=5)

In env.py, with `include_schemas=True`, one of these, so that autogenerate finds no drift:

    target_metadata = [Base.metadata, metadata()]
    context.configure(..., include_name=leave_out("jobcore"))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    text,
)

from jobcore.backend import InvalidArgument
from jobcore.backends.postgres.schema import operations
from jobcore.backends.postgres.statements import Statements

_SETTLED: Final = "state IN ('succeeded', 'failed', 'timed_out', 'broken')"


class Operations(Protocol):
    """What is needed of Alembic's `op`."""

    def execute(self, sqltext: Any) -> None:
        """Execute a statement, or write it out."""


def upgrade(op: Operations, *, to: int, since: int = 0, schema: str = "jobcore") -> None:
    """Take the steps after `since` up to `to`, as `jobcore migrate` does: online, or written out with `--sql`.

    Args:
        op: `alembic.op`.
        to: the number of the last step; the changelog says which there are.
        since: up to which they have been taken by earlier revisions.
        schema: where the tables are.

    Raises:
        InvalidArgument: there are no such steps; a newer jobcore may have them.
    """
    statements = Statements(schema)
    known = [step.number for step in statements.steps]
    if to not in known or since not in {0, *known} or since >= to:
        raise InvalidArgument(f"steps {since} (exclusive) to {to} are not to be had: this version has 1 to {known[-1]}")
    steps = [step for step in statements.steps if since < step.number <= to]
    for sql in operations(statements, steps):
        op.execute(text(sql.replace(":", "\\:")))  # a colon would begin a parameter


def leave_out(schema: str = "jobcore") -> Callable[[str | None, str, Mapping[str, Any]], bool]:
    """A hook `include_name` by which autogenerate does not look into a schema."""
    return lambda name, kind, _parents: (kind, name) != ("schema", schema)


def metadata(schema: str = "jobcore") -> MetaData:
    """The tables as autogenerate sees them: to compare with, not to create, as functions, views and settings lack."""
    tables = MetaData(schema=schema)
    jobs = Table(
        "jobs",
        tables,
        Column("queue", Text, primary_key=True),
        Column("id", Text, primary_key=True),
        Column("state", Text, nullable=False),
        Column("rank", SmallInteger, nullable=False),
        *(Column(name, BigInteger, nullable=False) for name in ("place", "seq", "pushed_at")),
        *(Column(name, Integer, nullable=False, server_default=text("0")) for name in ("attempt", "lost")),
        *(Column(name, BigInteger, nullable=False, server_default=text("0")) for name in ("remember", "fence")),
        *(Column(name, BigInteger) for name in ("started_at", "lease_until", "lapsed_at", "finished_at", "settled")),
        *(Column(name, LargeBinary) for name in ("call", "value")),
        *(Column(name, Text) for name in ("holder", "reason")),
        Column("payload", LargeBinary, nullable=False),
    )
    for name, columns, where in (
        ("ready", "queue rank place seq", "state = 'ready'"),
        ("call", "call", "call IS NOT NULL"),
        ("lease", "queue lease_until", "state = 'running'"),
        ("settled", "queue state settled", _SETTLED),
        ("remembered", "queue place", "state = 'remembered'"),
    ):
        Index(f"jobs_{name}", *(jobs.c[column] for column in columns.split()), postgresql_where=text(where))
    Table(
        "returns",
        tables,
        Column("queue", Text, primary_key=True),
        Column("n", BigInteger, Identity(always=True), primary_key=True),
        Column("rank", SmallInteger, nullable=False),
        *(Column(name, BigInteger, nullable=False) for name in ("place", "at")),
    )
    Table("sleepers", tables, Column("queue", Text, primary_key=True))
    Table(
        "kept",
        tables,
        *(Column(name, Text, primary_key=True) for name in ("queue", "cap")),
        Column("jobs", BigInteger, nullable=False),
    )
    uncounted = Table(
        "uncounted",
        tables,
        *(Column(name, Text, nullable=False) for name in ("queue", "cap")),
        Column("jobs", BigInteger, nullable=False),
    )
    Index("uncounted_cap", uncounted.c.queue, uncounted.c.cap)
    Table(
        "migrations",
        tables,
        Column("number", Integer, primary_key=True, autoincrement=False),
        Column("name", Text, nullable=False),
        Column("taken_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    )
    return tables
