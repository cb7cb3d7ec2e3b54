"""PostgreSQL: the statements as the server is sent them."""

from __future__ import annotations

import os
import re

import psycopg
import pytest

from jobcore.backends.postgres import connect
from jobcore.backends.postgres.statements import Statements

STATEMENTS = Statements("any")


@pytest.mark.parametrize("stem", ["push", "push_one_new", "claim", "settle", "counts", "lock"])
def test_names_become_numbers(stem: str) -> None:
    text, names = STATEMENTS.numbered(stem)
    asked = set(re.findall(r"%\((\w+)\)", STATEMENTS[stem]))
    assert sorted(names) == sorted(asked)  # each once, however often it is used
    assert {int(number) for number in re.findall(rb"\$(\d+)", text)} == set(range(1, len(names) + 1))


def test_nothing_is_left_for_psycopg_to_replace() -> None:
    text, _ = STATEMENTS.numbered("settle")
    assert "n %% 64" in STATEMENTS["settle"]
    assert b"n % 64" in text
    assert b"%%" not in text
    assert b"%(" not in text


@pytest.mark.parametrize("stem", ["wait", "wake"])
def test_who_waits_and_who_wakes_waits_for_no_disk(postgres_url: str, stem: str) -> None:
    """What they write is said again after a crash. What follows on the same connection is as durable as ever."""
    schema = f"statements_{os.getpid()}_{stem}"
    backend = connect(f"{postgres_url}?schema={schema}")
    backend.migrate()
    given = {"queues": ["q"], "queue": "q", "announce": True, "now": None}
    try:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            if stem == "wake":
                connection.execute(f"INSERT INTO {schema}.sleepers VALUES ('q')".encode())
            with connection.transaction():
                connection.execute(Statements(schema)[stem], given)
                assert connection.execute("SHOW synchronous_commit").fetchone() == ("off",)
            assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)
            connection.execute(f"DROP SCHEMA {schema} CASCADE".encode())
    finally:
        backend.close()
