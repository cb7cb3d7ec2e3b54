"""Whether a URL leads to a store that the conformance suite may work on; it is looked at before the suite is loaded."""

from __future__ import annotations

from typing import Final

from jobcore.backend import Counts, Push
from jobcore.connect import open_backend
from jobcore.errors import ConfigurationError, JobcoreError, Unavailable

_PROBE: Final = "q"
"""The queue that most of the suite's tests use."""


def check_store(url: str) -> None:
    """See that a URL leads to a store that the suite may work on, before it does.

    Raises:
        ConfigurationError: there is no driver for it, the store holds jobs, or each client of it has its own.
        BackendError: the store can't be reached, or refuses.
    """
    one, two = open_backend(url), open_backend(url)
    try:
        if one.counts(_PROBE) != Counts():
            raise ConfigurationError(f"the queue {_PROBE!r} is in use there: give a scratch store")
        one.push(_PROBE, [Push("a", b"")])
        shared = two.counts(_PROBE).ready
        one.destroy(_PROBE)
    finally:
        one.close()
        two.close()
    if not shared:
        raise ConfigurationError(
            "this URL opens another store each time: give one whose clients share it, as with memory://NAME"
        )


def is_away(url: str) -> bool:
    """Whether the store can't be reached."""
    try:
        check_store(url)
    except Unavailable:
        return True
    except JobcoreError:
        return False
    return False
