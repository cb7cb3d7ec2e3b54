"""PostgreSQL's schema: made and brought up to date by hand, by the driver or by Alembic, with jobs in flight."""

from __future__ import annotations

import io
import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import alembic.operations as alembic_ops
import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData, create_engine
from typer.testing import CliRunner, Result

from jobcore.backend import Answer, InvalidArgument, Keep, Push, Refused, State, Succeed
from jobcore.backends.postgres import alembic, connect
from jobcore.backends.postgres.schema import script
from jobcore.backends.postgres.statements import Statements
from jobcore.cli.app import app

CALL = b"c" * 16
STEPS = Statements("any").steps
_numbers = itertools.count()


@pytest.fixture
def schema(postgres_url: str) -> Iterator[str]:
    schema = f"made_{os.getpid()}_{next(_numbers)}"
    yield schema
    with psycopg.connect(postgres_url) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


@pytest.fixture
def url(postgres_url: str, schema: str) -> str:
    return f"{postgres_url}?schema={schema}"


@pytest.fixture
def owner(postgres_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        yield connection


def made_by(owner: psycopg.Connection[Any], schema: str, last: int) -> None:
    """Make the schema as the version did that knew steps up to `last`."""
    statements = Statements(schema)
    owner.execute(script(statements, [step for step in statements.steps if step.number <= last]).encode())


def jobcore(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["migrate", *arguments])


IN_FLIGHT = """
INSERT INTO {s}.jobs (queue, id, state, rank, place, seq, attempt, lost, remember, pushed_at, started_at,
    call, fence, holder, lease_until, lapsed_at, finished_at, settled, reason, value, payload)
VALUES
    ('q', 'ready', 'ready', 0, 5, 1, 0, 0, 0, 5, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'r'),
    ('q', 'later', 'ready', 0, 9007199254740991, 1, 2, 0, 0, 5, NULL, NULL, 7, NULL, NULL, NULL, NULL, NULL,
        'e', NULL, ''),
    ('q', 'held', 'running', 0, 5, 2, 1, 0, 0, 5, 6, '\\x63636363636363636363636363636363', 7, 'w',
        9007199254740991, NULL, NULL, NULL, NULL, NULL, 'h'),
    ('q', 'lapsed', 'running', 0, 5, 3, 1, 1, 0, 5, 6, '\\x64646464646464646464646464646464', 7, 'w',
        10, 9, NULL, NULL, NULL, NULL, 'l'),
    ('q', 'failed', 'failed', 0, 5, 4, 3, 0, 0, 5, 6, NULL, 7, NULL, NULL, NULL, 8, 1, 'no', NULL, 'f'),
    ('q', 'done', 'succeeded', 0, 5, 5, 1, 0, 0, 5, 6, NULL, 7, NULL, NULL, NULL, 8, 2, NULL, '1', 's'),
    ('q', 'gone', 'remembered', 0, 9007199254740991, 0, 0, 0, 0, 5, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL,
        NULL, NULL, '');
"""


class TestUpgrade:
    @pytest.mark.parametrize("last", [step.number for step in STEPS[:-1]])
    def test_jobs_in_flight_go_on_after_it(self, url: str, schema: str, owner: Any, last: int) -> None:
        """The schema of each version: what was held is settled by its token, and the rest stands."""
        made_by(owner, schema, last)
        owner.execute(IN_FLIGHT.replace("{s}", schema))
        backend = connect(url)
        before = {name: entry for name in ("ready", "failed", "done", "later") for entry in backend.get("q", [name])}
        assert backend.missing() == []
        assert [entry and entry.state for entry in before.values()] == [
            State.READY, State.FAILED, State.SUCCEEDED, State.SCHEDULED,
        ]  # fmt: skip
        (held,) = backend.claim("q", 9, 10**9, "w", CALL, 10**9).claims
        assert (held.id, held.fence, held.payload) == ("held", 7, b"h")
        assert backend.settle("q", [(held.hold, Succeed())], Keep()) == [Answer.DONE]
        assert [claim.id for claim in backend.reclaim("q", 9, 10**9, "m", uuid4().bytes)] == ["lapsed"]
        assert [claim.id for claim in backend.claim("q", 9, 10**9, "w", uuid4().bytes, 10**9).claims] == ["ready"]
        assert backend.redrive("q", ["failed"]) == [Answer.DONE]
        (pushed,) = backend.push("q", [Push("gone", b"")])
        assert (pushed.created, pushed.state) == (False, None)
        backend.close()

    def test_workers_of_the_version_before_go_on_beside_it(self, url: str, owner: Any, schema: str) -> None:
        """A later step of the same generation only adds: whoever does not know it works on."""
        backend = connect(url)
        backend.counts("q")
        owner.execute(f"INSERT INTO {schema}.migrations VALUES (99, 'of a later version')")
        late = connect(url)
        assert late.push("q", [Push("a", b"")])[0].created
        assert backend.counts("q").ready == 1
        assert jobcore(url, "--check").exit_code == 0
        late.close()
        backend.close()

    def test_a_schema_of_a_later_generation_is_refused(self, url: str, owner: Any, schema: str) -> None:
        connect(url).migrate()
        owner.execute(f"INSERT INTO {schema}.migrations VALUES (100, 'of another kind')")
        late = connect(url)
        with pytest.raises(Refused, match=r"step 100 \(of another kind.*install a newer one"):
            late.push("q", [Push("a", b"")])
        late.close()
        assert jobcore(url, "--check").exit_code == 1

    def test_a_step_that_fails_leaves_nothing(self, url: str, owner: Any, schema: str) -> None:
        made_by(owner, schema, 1)
        owner.execute(f"CREATE VIEW {schema}.all_jobs AS SELECT 1")  # in the way of a later one
        backend = connect(url)
        with pytest.raises(Refused, match="all_jobs"):
            backend.migrate()
        assert owner.execute(f"SELECT number FROM {schema}.migrations").fetchall() == [(1,)]
        backend.close()

    def test_one_that_takes_longer_than_a_verb_may_is_not_cut_off(self, url: str, owner: Any, schema: str) -> None:
        made_by(owner, schema, 1)
        backend = connect(f"{url}&timeout=0.2")
        slow = STEPS[-1]._replace(number=50, name="slow", sql="SELECT pg_sleep(0.5)")
        backend._database.statements.steps.append(slow)
        assert backend.migrate()[-1] == "50 slow"
        backend.close()


class TestCommand:
    def test_it_makes_what_is_missing_and_says_so(self, url: str) -> None:
        before = jobcore(url, "--check")
        assert (before.exit_code, before.stdout.splitlines()) == (1, [f"missing: {step}" for step in STEPS])
        taken = jobcore(url)
        assert (taken.exit_code, taken.stdout.splitlines()) == (
            0,
            [*(f"taken: {step}" for step in STEPS), "up to date"],
        )
        assert jobcore(url).stdout == "up to date\n"
        after = jobcore(url, "--check")
        assert (after.exit_code, after.stdout) == (0, "up to date\n")

    @pytest.mark.parametrize("last", [0, *(step.number for step in STEPS[:-1])])
    def test_what_it_prints_can_be_applied_by_hand(self, url: str, schema: str, owner: Any, last: int) -> None:
        if last:
            made_by(owner, schema, last)
        asked, told = jobcore(url, "--sql"), jobcore(url, "--sql", "--since", f"{last}")
        assert asked.stdout == told.stdout
        psql(url, told.stdout)
        assert jobcore(url, "--check").exit_code == 0
        backend = connect(url)
        assert backend.push("q", [Push("a", b"")])[0].created
        backend.close()

    def test_to_write_all_out_it_asks_no_server(self) -> None:
        told = jobcore("postgresql://u@127.0.0.1:1/nowhere?schema=mine", "--sql", "--since", "0")
        assert told.exit_code == 0
        assert 'CREATE TABLE "mine".jobs' in told.stdout

    def test_what_was_taken_before_is_not_taken_again(self, url: str, owner: Any, schema: str) -> None:
        everything = jobcore(url, "--sql", "--since", "0").stdout
        owner.execute(everything.encode())
        with pytest.raises(psycopg.errors.UniqueViolation):
            owner.execute(everything.encode())

    def test_the_url_may_stand_in_the_environment(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MINE", url)
        assert jobcore("env:MINE").exit_code == 0
        monkeypatch.setenv("JOBCORE_URL", url)
        assert jobcore("--check").exit_code == 0

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["memory://"], "memory:// needs no migration"),
            ([], "which store?"),
            (["postgresql://h/d", "--check", "--sql"], "exclude each other"),
            (["postgresql://h/d", "--since", "1"], "add --sql"),
        ],
    )
    def test_what_makes_no_sense_is_an_error_of_use(
        self, arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("JOBCORE_URL", raising=False)
        done = jobcore(*arguments)
        assert done.exit_code == 2
        assert said in done.stderr


def psql(url: str, text: str) -> None:
    """Apply SQL as an operator would, or where there is no psql as it would send it."""
    client = shutil.which("psql")
    if client:
        subprocess.run(
            [client, "-qX", "-v", "ON_ERROR_STOP=1", url.partition("?")[0]], input=text, text=True, check=True
        )
    else:
        with psycopg.connect(url.partition("?")[0], autocommit=True) as connection:
            connection.execute(text.encode())


class TestAlembic:
    @pytest.fixture
    def connection(self, postgres_url: str) -> Iterator[Connection]:
        engine = create_engine(postgres_url.replace("postgresql:", "postgresql+psycopg:"))
        with engine.connect() as connection:
            yield connection
        engine.dispose()

    def test_revisions_make_what_the_driver_makes(
        self, url: str, schema: str, owner: Any, connection: Connection
    ) -> None:
        """In as many revisions as there are steps."""
        context = MigrationContext.configure(connection)
        with context.begin_transaction(), alembic_ops.Operations.context(context) as op:
            for since, to in itertools.pairwise([0, *(step.number for step in STEPS)]):
                alembic.upgrade(op, since=since, to=to, schema=schema)
        connection.commit()
        made = structure(owner, schema)
        owner.execute(f"DROP SCHEMA {schema} CASCADE")
        connect(url).migrate()
        assert structure(owner, schema) == made

    def test_offline_it_writes_out_what_makes_the_same(self, url: str, schema: str, owner: Any) -> None:
        written = io.StringIO()
        context = MigrationContext.configure(
            dialect_name="postgresql",
            dialect_opts={"paramstyle": "named"},  # as Alembic's own env.py has it
            opts={"as_sql": True, "output_buffer": written, "transactional_ddl": True},
        )
        with context.begin_transaction(), alembic_ops.Operations.context(context) as op:
            alembic.upgrade(op, to=STEPS[-1].number, schema=schema)
        psql(url, written.getvalue())
        made = structure(owner, schema)
        owner.execute(f"DROP SCHEMA {schema} CASCADE")
        connect(url).migrate()
        assert structure(owner, schema) == made

    @pytest.mark.parametrize("options", [{}, {"compare_server_default": True}])
    def test_autogenerate_finds_no_drift(self, url: str, schema: str, connection: Connection, options: Any) -> None:
        connect(url).migrate()
        assert drift(connection, schema, alembic.metadata(schema), **options) == []

    def test_autogenerate_sees_drift(self, url: str, schema: str, owner: Any, connection: Connection) -> None:
        connect(url).migrate()
        owner.execute(f"ALTER TABLE {schema}.jobs ADD other integer")
        owner.execute(f"DROP INDEX {schema}.jobs_ready")
        found = drift(connection, schema, alembic.metadata(schema))
        assert sorted(each[0] for each in found) == ["add_index", "remove_column"]

    def test_it_can_be_left_out(self, url: str, schema: str, connection: Connection) -> None:
        connect(url).migrate()
        assert "remove_table" in [each[0] for each in drift(connection, schema, MetaData())]
        hook = alembic.leave_out(schema)
        assert drift(connection, schema, MetaData(), include_name=hook) == []

    @pytest.mark.parametrize(("since", "to"), [(0, 5000), (7000, 5000), (2, 2), (3, 1)])
    def test_steps_that_are_not_there_are_refused(self, since: int, to: int) -> None:
        with pytest.raises(InvalidArgument, match="not to be had"):
            alembic.upgrade(alembic_ops.Operations, since=since, to=to)


def drift(connection: Connection, schema: str, metadata: MetaData, **options: Any) -> list[Any]:
    """What autogenerate would write about this schema."""
    hook = options.pop("include_name", lambda *_: True)

    def include_name(name: str | None, type_: str, parents: Any) -> bool:
        return (name == schema if type_ == "schema" else True) and bool(hook(name, type_, parents))

    context = MigrationContext.configure(
        connection, opts={"include_schemas": True, "include_name": include_name, **options}
    )
    return list(compare_metadata(context, metadata))


def structure(owner: Any, schema: str) -> list[Any]:
    """All that makes up a schema: relations with their settings, columns, indexes, constraints, functions, rights."""
    of_schema = "IN (SELECT oid FROM pg_class WHERE relnamespace = %(s)s::regnamespace)"
    asked = [
        f"SELECT relname, relkind, reloptions, relacl FROM pg_class WHERE oid {of_schema}",
        f"SELECT attrelid::regclass, attname, atttypid, attcollation FROM pg_attribute WHERE attrelid {of_schema}",
        "SELECT indexdef FROM pg_indexes WHERE schemaname = %(s)s",
        f"SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid {of_schema}",
        "SELECT pg_get_functiondef(oid), proacl FROM pg_proc WHERE pronamespace = %(s)s::regnamespace",
        f"SELECT pg_get_viewdef(oid) FROM pg_class WHERE oid {of_schema} AND relkind = 'v'",
        f"SELECT number, name FROM {schema}.migrations",
    ]
    return [sorted(map(str, owner.execute(query, {"s": schema}))) for query in asked]
