"""Jobs in one SQLite file: durable, without a server, for any number of threads and processes of one machine.

`sqlite:///jobs.db` is a path relative to where the process is; `sqlite:////var/lib/app/jobs.db` an absolute one.
"""

from __future__ import annotations

import math
import sqlite3
from typing import Final

from jobcore.backend import Clock, ConfigurationError, url_options
from jobcore.backends.sqlite.backend import SqliteBackend

__all__ = ["SqliteBackend", "connect"]

_NEEDED: Final = (3, 35, 0)  # for RETURNING
_PREFIX: Final = "sqlite:///"


def connect(url: str, *, clock: Clock | None = None) -> SqliteBackend:
    """Open `sqlite:///PATH`, with the options `timeout` (seconds) and `synchronous` (FULL or NORMAL).

    `clock` tells the time in tests, in place of the machine's.

    Raises:
        ConfigurationError: the URL has another form, an option is unknown or can't be read, or the SQLite that
            Python was built with is older than 3.35.
    """
    if sqlite3.sqlite_version_info < _NEEDED:
        raise ConfigurationError(f"sqlite:// needs SQLite 3.35 or newer; this Python has {sqlite3.sqlite_version}")
    base, options = url_options(url, {"timeout": _seconds, "synchronous": _synchronous})
    path = base[len(_PREFIX) :]
    if not base.lower().startswith(_PREFIX) or not path:
        raise ConfigurationError("write sqlite:///relative/path.db or sqlite:////absolute/path.db")
    if path.startswith(":memory:"):
        raise ConfigurationError("SQLite's :memory: can't be shared by connections: write memory://")
    return SqliteBackend(path, clock=clock, **options)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < math.inf:
        raise ValueError("it is a number of seconds above 0")
    return seconds


def _synchronous(text: str) -> str:
    if text.upper() not in {"FULL", "NORMAL"}:
        raise ValueError("it is FULL or NORMAL")
    return text.upper()
