"""From a URL to a backend. Drivers are found by entry points, ours in the same way as a stranger's."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from inspect import signature
from typing import TYPE_CHECKING, Final

from jobcore.errors import ConfigurationError
from jobcore.forks import survive_forks

if TYPE_CHECKING:
    from jobcore.backend import Backend, Clock

GROUP: Final = "jobcore.backends"
"""The entry-point group of drivers: the name is a URL's scheme, the value a function from URL to `Backend`.

If it takes `clock=` as well, the conformance suite need not let real time pass.
"""

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def open_backend(url: str, *, clock: Clock | None = None) -> Backend:
    """Open the backend that a URL names.

    Args:
        url: where jobs live.
        clock: what tells the time in tests; None: the store's clock. See `takes_clock`.

    Raises:
        ConfigurationError: no driver is installed for the scheme, a driver's library is missing, or the URL has
            an option that the driver does not know. A message never shows more of a URL than its scheme.
    """
    driver = _driver(_scheme(url))
    if clock is None:
        return driver(url)
    if not takes_clock(url):
        raise ConfigurationError(f"{_scheme(url)}:// takes no clock: its driver's function has no parameter `clock`")
    return driver(url, clock=clock)


def takes_clock(url: str) -> bool:
    """Whether the driver of a URL can be given a clock: what its entry point names has a parameter `clock`.

    Raises:
        ConfigurationError: as `open_backend`.
    """
    return "clock" in signature(_driver(_scheme(url))).parameters


def _scheme(url: str) -> str:
    found = _SCHEME.match(url)
    if found is None:
        raise ConfigurationError(f"a backend's URL begins with a scheme and ://, one of: {_installed()}")
    return found[1].lower()


def _driver(scheme: str) -> Callable[..., Backend]:
    found = next(iter(entry_points(group=GROUP, name=scheme)), None)
    if found is None:
        raise ConfigurationError(f"no driver is installed for {scheme}://; there are: {_installed()}")
    try:
        driver: Callable[..., Backend] = found.load()
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"{scheme}:// needs {error.name}: {_remedy(found)}") from error
    return driver


def _installed() -> str:
    return ", ".join(sorted({found.name for found in entry_points(group=GROUP)})) or "none"


def _remedy(found: EntryPoint) -> str:
    """What installs a driver's library: the extra of its distribution that is named as its module is."""
    extras = (found.dist.metadata.get_all("Provides-Extra") if found.dist else None) or []
    for extra in extras:
        if found.dist and extra in found.module.split("."):
            return f'pip install "{found.dist.name}[{extra}]"'
    return "install it"


class Shared:
    """The backends that queues share: one for each URL in a process, closed when its last user has left.

    A forked child begins with none. What its parent had open is kept there, untouched, so that nothing is
    said on connections that are still the parent's.
    """

    def __init__(self, connect: Callable[[str], Backend] = open_backend) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._open: dict[str, tuple[Backend, int]] = {}
        self._parents: list[object] = []
        survive_forks(self)

    def join(self, url: str) -> Backend:
        """The backend of a URL, opened if it is not yet; raises as `open_backend`."""
        with self._lock:
            backend, users = self._open.get(url) or (self._connect(url), 0)
            self._open[url] = backend, users + 1
            return backend

    def leave(self, url: str) -> None:
        """Give up one `join`."""
        with self._lock:
            backend, users = self._open.pop(url)
            if users > 1:
                self._open[url] = backend, users - 1
                return
        backend.close()

    def after_fork(self) -> None:
        """Begin anew in a child."""
        self._parents.append(self._open)
        self._lock, self._open = threading.Lock(), {}


SHARED: Final = Shared()


def is_private(url: str) -> bool:
    """Whether each queue has a backend of its own under this URL: `memory://` without a name."""
    scheme, _, rest = url.partition("://")
    return scheme.lower() == "memory" and not rest.partition("?")[0].strip("/")
