"""Exit codes, and which error ends in which."""

from __future__ import annotations

from enum import IntEnum

from jobcore.errors import (
    ConfigurationError,
    EnqueueUncertain,
    InvalidArgument,
    JobcoreError,
    Unavailable,
    Uncertain,
    UnknownJob,
)


class ExitCode(IntEnum):
    """What the exit code of `jobcore` says."""

    DONE = 0
    FAILED = 1  # or some of the jobs named were refused
    USAGE = 2
    UNAVAILABLE = 3  # the store could not be reached: nothing was changed
    UNCERTAIN = 4  # no answer came: it may or may not have been done
    STUCK = 5  # a worker left jobs behind that would not stop
    INTERRUPTED = 130  # Ctrl-C, as shells have it


def code_of(error: JobcoreError) -> ExitCode:
    """The exit code that an error ends in."""
    match error:
        case ConfigurationError() | InvalidArgument() | UnknownJob():
            return ExitCode.USAGE
        case Unavailable():
            return ExitCode.UNAVAILABLE
        case Uncertain() | EnqueueUncertain():
            return ExitCode.UNCERTAIN
        case _:
            return ExitCode.FAILED
