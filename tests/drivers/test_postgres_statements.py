"""PostgreSQL: the statements as the server is sent them."""

from __future__ import annotations

import re

import pytest

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
