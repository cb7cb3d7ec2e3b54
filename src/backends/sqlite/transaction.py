"""What a verb is carried out in."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol


class Database(Protocol):
    """What runs statements: a `sqlite3.Connection`, or a caller's connection made to look like one."""

    def execute(self, sql: str, parameters: Any = ..., /) -> Any:
        """Run a statement and give its cursor."""
        ...


class Transaction(NamedTuple):
    """One queue within an open transaction, at one time of the clock (µs).

    The clock is read when the transaction holds the write lock, so that places rise in the order of commits.
    """

    db: Database
    queue: str
    now: int

    def run(self, script: str, **parameters: object) -> Any:
        """Run a script; `queue` and `now` are among its parameters. Gives its cursor."""
        return self.db.execute(script, {"queue": self.queue, "now": self.now, **parameters})
