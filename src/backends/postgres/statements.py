"""The SQL files, with the schema's name put in."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from importlib.resources import files
from typing import Any, Final, LiteralString, NamedTuple

from jobcore.backend import ConfigurationError

_PARAMETER: Final = re.compile(r"%\((\w+)\)[sb]")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}", re.ASCII)


class Step(NamedTuple):
    """A migration: its number, its name, its statements."""

    number: int
    name: str
    sql: LiteralString

    def __str__(self) -> str:
        return f"{self.number} {self.name}"


class Numbered(NamedTuple):
    """A statement as the server takes it, with `$1` for `%(name)s`, and the names in the order of numbers.

    psycopg would otherwise replace them at each call: it remembers how for statements of up to 4096 bytes only.
    """

    text: bytes
    names: tuple[str, ...]


class Statements:
    """The driver's statements for one schema: `statements["push"]` is what stands in sql/push.sql.

    Attributes:
        schema: the schema's name.
        channel: where notifications for it are sent. Hashed, as names of channels are cut at 63 bytes.
        steps: what makes the schema, in order.
    """

    def __init__(self, schema: str) -> None:
        if not _NAME.fullmatch(schema):
            raise ConfigurationError(f"a schema's name is 1 to 63 of A-Z a-z 0-9 _ and no digit first, not {schema!r}")
        self.schema = schema
        self.channel = "jobcore_" + hashlib.md5(schema.encode(), usedforsecurity=False).hexdigest()
        self.steps = [Step(int(stem[:3]), stem[4:], self._fill(sql)) for stem, sql in _texts("migrations").items()]
        self._verbs = {stem: self._fill(_told(stem, sql)) for stem, sql in _texts().items()}
        self._numbered = {stem: _number(sql) for stem, sql in self._verbs.items()}

    def __getitem__(self, stem: str) -> LiteralString:
        """The statement of a file, by its stem."""
        return self._verbs[stem]

    def numbered(self, stem: str) -> Numbered:
        """The same statement for a `psycopg.RawCursor`."""
        return self._numbered[stem]

    def _fill(self, sql: str) -> LiteralString:
        # Literal enough: all of it comes from this package's files, or was checked above.
        filled: Any = sql.replace("{schema}", f'"{self.schema}"').replace("{channel}", self.channel)
        literal: LiteralString = filled
        return literal


def _told(stem: str, sql: str) -> str:
    """A statement without its comments, under its name: that is what a look at the server's sessions shows."""
    return "\n".join([f"/* jobcore {stem} */", *(line for line in sql.splitlines() if line.lstrip()[:2] != "--")])


def _number(sql: str) -> Numbered:
    numbers = {name: n for n, name in enumerate(dict.fromkeys(_PARAMETER.findall(sql)), 1)}
    text = _PARAMETER.sub(lambda found: f"${numbers[found[1]]}", sql).replace("%%", "%")
    return Numbered(text.encode(), tuple(numbers))


@cache
def _texts(*folder: str) -> dict[str, str]:
    found = files(__package__).joinpath("sql", *folder).iterdir()
    return {file.name[:-4]: file.read_text("utf-8") for file in sorted(found, key=str) if file.name.endswith(".sql")}
