"""What commands print: tables for people, one JSON document for programs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import typer
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobcore.cli.exits import ExitCode
from jobcore.cli.secrets import without_passwords

_PIPED_WIDTH: Final = 200
_GAP: Final = 2
_FOLDED: Final = {"args", "reason", "due", "started", "lease ends", "finished"}
"""Columns that take several lines where there is little room; ids, names and numbers stay whole, to be copied."""

_FOLDED_WIDTH: Final = 20
"""The least that such a column is given: a date and a time."""

_STEPS: Final = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def console(*, err: bool = False) -> Console:
    """Where to print; wide if it is no terminal, so that a table's lines can be searched."""
    made = Console(stderr=err, highlight=False)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made.width = _PIPED_WIDTH
    return made


@contextmanager
def written() -> Iterator[None]:
    """See that what was printed is written in the end; else say so in a line and exit with 1.

    Raises:
        OSError: of anything else, as it came.
    """
    try:
        try:
            yield
        finally:
            typer.echo(nl=False)  # flushes, if there is an output at all
    except OSError as error:
        if _writable():
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python flushes as it exits
        if not isinstance(error, BrokenPipeError):  # who reads has left, and wants to hear no more
            say(f"Error: the output could not be written: {error}")
        raise SystemExit(ExitCode.FAILED) from None


def _writable() -> bool:
    """Whether a line can be written, after all that still waits to be."""
    try:
        typer.echo()
    except OSError:
        return False
    return True


def print_json(document: dict[str, Any]) -> None:
    """Print one document, indented, with a line end."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under their columns; wider than a terminal that is too narrow, which wraps the lines then."""
    table, width = _grid(header_style="bold"), 0
    for number, column in enumerate(columns):
        cells = [row[number] for row in rows]
        counts = bool(cells) and isinstance(cells[0], int)
        folded = column in _FOLDED
        table.add_column(column, overflow="fold", no_wrap=not folded, justify="right" if counts else "left")
        width += _GAP + (_FOLDED_WIDTH if folded else max(cell_len(str(cell)) for cell in (column, *cells)))
    _print(table, rows, width)


def print_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    """Print names and what they are, a line or more each."""
    table = _grid(show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    _print(table, pairs)


def say(text: str) -> None:
    """A line for people, beside the output; wrapped on a terminal alone."""
    screen = console(err=True)
    screen.print(Text(text), soft_wrap=not screen.is_terminal)


def iso(time: int | None) -> str | None:
    """Microseconds since the epoch as ISO 8601 in UTC, to the microsecond."""
    if time is None:
        return None
    return _moment(time).isoformat(timespec="microseconds").replace("+00:00", "Z")


def when(time: int | None, now: int) -> str:
    """A time exactly, to the second, and in words as seen from `now`; both in microseconds."""
    if time is None:
        return ""
    return f"{_moment(time):%Y-%m-%d %H:%M:%SZ} ({in_words(time - now)})"


def in_words(microseconds: int) -> str:
    """A distance in time: `3 min ago`, `in 2 h`."""
    seconds = abs(microseconds) // 1_000_000
    for size, name in _STEPS:
        if seconds >= size:
            said = f"{seconds // size} {name}"
            return f"in {said}" if microseconds > 0 else f"{said} ago"
    return "now"


def counted(number: int, noun: str) -> str:
    """A number of things: `1 job`, `1,204 jobs`."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _moment(time: int) -> datetime:
    return datetime.fromtimestamp(time / 1_000_000, UTC)


def _grid(**style: Any) -> Table:
    return Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), **style)


def _print(table: Table, rows: Iterable[Sequence[object]], width: int = 0) -> None:
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    screen = console()
    screen.width = max(screen.width, width)
    screen.print(table)


def _cell(value: object) -> Text:
    """As Text: brackets in users' data are no markup. What a job failed with may tell of a URL."""
    return Text(without_passwords(str(value)))
