"""PostgreSQL's plans: how each verb finds its rows, as the server tells of the verb's own statements."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from jobcore.backend import Answer, Fail, Keep, Outcome, Push, Retry, Return, State, Succeed
from jobcore.backends.postgres import PostgresBackend, connect

LEASE = 60_000_000
BATCH = 100
BOUND = 10 * BATCH
"""Rows that one scan may read for a batch of a hundred."""

Node = dict[str, Any]

FILL = """
INSERT INTO {s}.jobs (queue, id, state, rank, place, seq, pushed_at, started_at, call, fence, holder, lease_until,
    settled, remember, payload)
SELECT
    'q', kind || n, state, n %% 3 - 1, CASE WHEN ahead THEN 4000000000000000 ELSE 1000000000000000 END + n, n, n,
    CASE WHEN state = 'running' THEN n END,
    CASE WHEN state = 'running' THEN decode(md5('call' || n / 100), 'hex') END, n,
    CASE WHEN state = 'running' THEN 'w' END, CASE WHEN state = 'running' THEN 1000000000000000 + n END,
    CASE WHEN state IN ('succeeded', 'failed', 'timed_out', 'broken') THEN n END, n %% 2, ''
FROM generate_series(1, %(rows)s) AS n CROSS JOIN (
    VALUES ('ready', 'ready', false), ('later', 'ready', true), ('run', 'running', false),
        ('done', 'succeeded', false), ('fail', 'failed', false), ('time', 'timed_out', false),
        ('break', 'broken', false), ('known', 'remembered', true)
) AS kinds (kind, state, ahead)
"""


class Explained:
    """A backend on one connection, and the plans of what was run there."""

    def __init__(self, url: str, **settings: str) -> None:
        self.backend = connect(url)
        self.plans: list[Node] = []
        self.backend.counts("q")
        self.backend._database.connections.call(lambda connection: self._listen(connection, settings))

    def _listen(self, connection: psycopg.Connection[Any], settings: dict[str, str]) -> None:
        connection.add_notice_handler(self._note)
        connection.execute("LOAD 'auto_explain'")
        for name, value in {
            "auto_explain.log_min_duration": "0",
            "auto_explain.log_analyze": "on",
            "auto_explain.log_timing": "off",
            "auto_explain.log_format": "json",
            "client_min_messages": "log",
            **settings,
        }.items():
            connection.execute("SELECT set_config(%s, %s, false)", [name, value])
        self.plans.clear()

    def _note(self, notice: psycopg.errors.Diagnostic) -> None:
        _, mark, text = (notice.message_primary or "").partition("plan:\n")
        if mark:
            self.plans.append(json.loads(text))

    def nodes(self) -> Iterator[tuple[str, Node]]:
        """The verb and the node, of each plan since the last time that was asked."""
        plans, self.plans[:] = [*self.plans], []
        for plan in plans:
            verb = plan["Query Text"].split("*/")[0].removeprefix("/* jobcore ").strip()
            for node in below(plan["Plan"]):
                yield verb, node


def below(node: Node) -> Iterator[Node]:
    yield node
    for child in node.get("Plans", ()):
        yield from below(child)


def read(node: Node) -> float:
    """How many rows a node gave, or threw away, all its runs together."""
    removed = sum(value for name, value in node.items() if name.startswith("Rows Removed"))
    return float((node["Actual Rows"] + removed) * node["Actual Loops"])


def work(backend: PostgresBackend) -> None:
    """Each verb, on a hundred jobs or one."""

    def take() -> list[Any]:
        return backend.claim("q", BATCH, LEASE, "me", uuid4().bytes, 10**9).claims

    def settle(claims: list[Any], outcome: Outcome, queue: str = "q", keep: Keep | None = None) -> None:
        answers = backend.settle(queue, [(claim.hold, outcome) for claim in claims], keep or Keep())
        assert {*answers} <= {Answer.DONE}

    backend.push("q", [Push(uuid4().hex, b"", remember=60) for _ in range(BATCH)])
    backend.push("q", [Push("ready1", b""), Push("known1", b"")])
    for outcome in (Retry(), Return(), Fail(State.BROKEN)):
        settle(take(), outcome)
    call = uuid4().bytes
    claims = backend.claim("q", BATCH, LEASE, "me", call, 10**9).claims
    assert backend.claim("q", BATCH, LEASE, "me", call, 10**9).claims == claims  # repeated
    backend.extend("q", [claim.hold for claim in claims], LEASE)
    settle(backend.reclaim("q", BATCH, LEASE, "me", uuid4().bytes), Return())
    settle(claims, Return())
    for keep in (Keep(succeeded=10, failed=10), Keep(failed=0)):
        for outcome in (Succeed(), Fail()):
            backend.push("few", [Push(uuid4().hex, b"", remember=60) for _ in range(20)])
            settle(backend.claim("few", 20, LEASE, "me", uuid4().bytes, 10**9).claims, outcome, "few", keep)
    for state in (State.READY, State.SCHEDULED, State.SUCCEEDED, State.FAILED):
        backend.peek("q", state, BATCH)
    backend.get("q", ["ready7", "none"])
    backend.redrive("q", ["fail3", "fail4"])
    backend.remove("q", ["time3", "time4"])
    backend.wait(["q"], 0.0)


@contextmanager
def filled(postgres_url: str, rows: int) -> Iterator[Callable[[str], None]]:
    """Fills a schema with so many rows in each state, and gives what runs a statement there."""
    schema = f"plans_{os.getpid()}_{rows}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:

        def run(statement: str) -> None:
            connection.execute(statement.replace("{s}", schema).encode(), {"rows": rows} if "%(" in statement else None)

        backend = connect(f"{postgres_url}?schema={schema}")
        backend.migrate()
        backend.close()
        run("ANALYZE {s}.jobs")
        run(FILL)
        try:
            yield run
        finally:
            run("DROP SCHEMA {s} CASCADE")


@pytest.mark.parametrize("rows", [20_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_verbs_go_by_their_indexes_and_sort_nothing(postgres_url: str, rows: int) -> None:
    """With statistics of an empty table and of a full one, on plans made for any values and for these.

    A million rows in each of eight states take long to fill in: `make test-all` leaves them the time.
    """
    with filled(postgres_url, rows) as run:
        url = f"{postgres_url}?schema=plans_{os.getpid()}_{rows}&timeout=600"
        for statistics in ("empty", "full"):
            if statistics == "full":
                run("VACUUM ANALYZE {s}.jobs")
            for way, explained in (
                ("generic", Explained(url)),
                ("custom", Explained(url, plan_cache_mode="force_custom_plan")),
                ("unprepared", Explained(f"{url}&prepare=off")),
            ):
                work(explained.backend)
                check(explained, f"{way}, with statistics of the {statistics} table")
                explained.backend.close()


def tell(verb: str, when: str, node: Node) -> str:
    return f"{verb}, {when}: {json.dumps(node, indent=1)}"


def check(explained: Explained, when: str) -> None:
    used = set()
    for verb, node in explained.nodes():
        kind, table = node["Node Type"], node.get("Relation Name", "")
        assert kind not in {"Sort", "Incremental Sort", "Bitmap Heap Scan", "Hash Join", "Merge Join"}, tell(
            verb, when, node
        )
        assert not (kind == "Seq Scan" and table), tell(verb, when, node)
        assert read(node) <= BOUND or verb == "peek_waiting", tell(
            verb, when, node
        )  # a listing steps over what is not due yet
        if table == "jobs" and "Index Name" in node:
            used.add(node["Index Name"])
    assert used == {"jobs_pkey", "jobs_ready", "jobs_call", "jobs_lease", "jobs_settled", "jobs_remembered"}
