"""Logging of workers and monitors: to stderr, for people on a terminal, as plain lines else."""

from __future__ import annotations

import logging
import sys
from enum import StrEnum
from time import gmtime
from typing import Final

from jobcore.cli.secrets import without_passwords


class Level(StrEnum):
    """From which level on events are logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class _Formatter(logging.Formatter):
    """Lines without passwords (what a driver's library says may hold a URL), their times in UTC."""

    converter = staticmethod(gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def format(self, record: logging.LogRecord) -> str:
        return without_passwords(super().format(record))


PLAIN: Final = _Formatter("%(asctime)s %(levelname)s %(process)d %(name)s: %(message)s")


def set_up(level: Level) -> None:
    """Log what happens in this process, from `level` on; other libraries from WARNING on."""
    logging.basicConfig(handlers=[_handler()], level=logging.WARNING)
    logging.getLogger("jobcore").setLevel(level.upper())


def _handler() -> logging.Handler:
    if not sys.stderr.isatty():
        plain = logging.StreamHandler()
        plain.setFormatter(PLAIN)
        return plain
    from rich.console import Console
    from rich.logging import RichHandler

    human = RichHandler(console=Console(stderr=True), show_path=False, log_time_format="%H:%M:%S")
    human.setFormatter(_Formatter("%(process)d %(name)s: %(message)s"))
    return human
