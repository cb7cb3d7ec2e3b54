"""The SQL of the verbs: one file for each statement, in the folder `sql`."""

from __future__ import annotations

from importlib.resources import files


def script(name: str) -> str:
    """The text of `sql/NAME.sql`."""
    return files(__package__).joinpath("sql", f"{name}.sql").read_text("utf-8")
