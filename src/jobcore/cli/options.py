"""Arguments and options that commands have in common."""

import os
import re
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from jobcore.cli.logs import Level
from jobcore.errors import ConfigurationError

_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def duration(text: str | float) -> float:
    """Seconds, from `90`, `1.5s`, `5m`, `2h`, `1d` or several of these: `1h30m`; a default is seconds already."""
    if not isinstance(text, str):
        return text
    parts = _DURATION.findall(text)
    if not parts or _DURATION.sub("", text).strip():
        raise typer.BadParameter(f"write seconds, or as in 90s, 5m, 1h30m, 2d; not {text!r}")
    return sum(float(number) * _SECONDS[unit or "s"] for number, unit in parts)


def moment(text: str) -> datetime:
    """A time with its zone, from ISO 8601."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"write a time as in 2030-01-31T08:00:00+01:00, not {text!r}", param_hint="--run-at"
        ) from None
    if time.utcoffset() is None:
        raise typer.BadParameter(f"{text!r} has no time zone: add Z or as in +01:00", param_hint="--run-at")
    return time


def limit(text: str) -> tuple[str, int]:
    """A queue's name and how many of its jobs may run at once, from `video=1`."""
    name, _, number = text.partition("=")
    if not name or not number.isdecimal():
        raise typer.BadParameter(f"write queue=number, as in video=1, not {text!r}", param_hint="--limit")
    return name, int(number)


def check_files(*paths: Path | None) -> None:
    """See that files can be written in the end, before work begins that would be lost; raises ConfigurationError."""
    for path in filter(None, paths):
        if path.is_dir() or not os.access(path.absolute().parent, os.W_OK):
            raise ConfigurationError(f"{path} can't be written: name a file, in a folder that you may write to")


Targets = Annotated[
    list[str],
    typer.Argument(metavar="QUEUE", help="Each as module:attribute, such as app.tasks:mail.", show_default=False),
]
Target = Annotated[str, typer.Argument(metavar="QUEUE", help="As module:attribute.", show_default=False)]
_ANY = "As module:attribute, or by name with --url or JOBCORE_URL."
AnyTarget = Annotated[str, typer.Argument(metavar="QUEUE", help=_ANY, show_default=False)]
Id = Annotated[str, typer.Argument(metavar="ID", help="The job's id.", show_default=False)]
Ids = Annotated[list[str] | None, typer.Argument(metavar="ID", help="The jobs' ids.", show_default=False)]
Url = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Where the jobs are, in place of the queue's own backend; env:NAME reads it from that variable, "
        "so that no password shows in the process list.",
    ),
]
LogLevel = Annotated[Level, typer.Option(help="Log events from this level on, to stderr.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, for programs.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]
Lease = Annotated[
    float,
    typer.Option(
        parser=duration,
        metavar="TIME",
        show_default="2m",
        help="After how long a job whose worker is gone may be taken over; renewed while it runs.",
    ),
]
