"""Jobs in this process's memory: for unit tests and trials, and the reference that is read first.

`memory://` is private to whoever opens it; `memory://NAME` is shared within the process, and lives as
long as that. Nothing survives the process. A forked child goes on with a copy of its own.
"""

from __future__ import annotations

import re
from typing import Final

from jobcore.backend import Clock, ConfigurationError, url_options
from jobcore.backends.memory.backend import MemoryBackend, Store

__all__ = ["MemoryBackend", "Store", "connect"]

_URL: Final = re.compile(r"memory://([A-Za-z0-9._-]*)/?", re.ASCII)
_named: Final[dict[str, Store]] = {}


def connect(url: str, *, clock: Clock | None = None) -> MemoryBackend:
    """Open `memory://` or `memory://NAME`; `clock` tells the time in tests.

    Raises:
        ConfigurationError: the URL has another form, or an option (there are none).
    """
    base, _ = url_options(url, {})
    match = _URL.fullmatch(base)
    if match is None:
        raise ConfigurationError("write memory:// or memory://NAME (of A-Z a-z 0-9 . _ -)")
    name = match[1]
    return MemoryBackend(clock, store=_named.setdefault(name, Store()) if name else Store())
