"""What a queue is bound to: where its jobs live, and what they are run with."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from jobcore.backend import Backend
from jobcore.coalesce import Coalescer
from jobcore.connect import SHARED, is_private, open_backend
from jobcore.errors import ConfigurationError, QueueClosed
from jobcore.forks import survive_forks

if TYPE_CHECKING:
    from typing_extensions import TypeIs

Source: TypeAlias = str | Backend | Callable[[], Backend] | None
"""A URL, a backend, a function that gives one, or None for the environment variable JOBCORE_URL."""

Lifespan: TypeAlias = Callable[[], AbstractContextManager[Any] | AbstractAsyncContextManager[Any]]

VARIABLE: Final = "JOBCORE_URL"


class _Opened(NamedTuple):
    backend: Backend
    close: Callable[[], None]


class Binding:
    """A queue's backend, opened at its first use and again in a forked child, with its state or lifespan.

    Attributes:
        state: what each job is handed, unless there is a lifespan.
        lifespan: makes the (sync or async) context manager that a worker enters for the state, or None.
    """

    def __init__(self, source: Source, state: Any = None, lifespan: Lifespan | None = None) -> None:
        self.state = state
        self.lifespan = lifespan
        self._source = _checked(source)
        self._opened: _Opened | None = None
        self._closed = False
        self._lock = threading.Lock()
        self._coalescer = Coalescer(lambda: self.backend)
        self._parents: list[object] = []
        survive_forks(self)

    @property
    def backend(self) -> Backend:
        """The backend; opens it if need be.

        Raises:
            QueueClosed: the binding was closed.
            ConfigurationError: there is no URL, or none that can be opened.
        """
        opened = self._opened
        return opened.backend if opened is not None else self._open()

    @property
    def coalescer(self) -> Coalescer:
        """What async callers push through."""
        return self._coalescer

    def close(self) -> None:
        """Free what was opened here; a backend that was handed in stays open. Closing twice is allowed."""
        self._coalescer.close()
        with self._lock:
            opened, self._opened, self._closed = self._opened, None, True
        if opened is not None:
            opened.close()

    def release(self) -> None:
        """Close, but leave a backend that was handed in to the workers that were made with it."""
        if self._source is not None and _is_backend(self._source):
            self._coalescer.close()
        else:
            self.close()

    def after_fork(self) -> None:
        """Forget, but keep alive, what is still the parent's."""
        self._parents.append((self._opened, self._coalescer))
        self._opened, self._lock = None, threading.Lock()
        self._coalescer = Coalescer(lambda: self.backend)

    def _open(self) -> Backend:
        with self._lock:
            if self._closed:
                raise QueueClosed("the queue was closed")
            if self._opened is None:
                self._opened = _open(self._source)
            return self._opened.backend


def _checked(source: Source) -> Source:
    if source is None or isinstance(source, str) or callable(source) or hasattr(source, "push"):
        return source
    raise ConfigurationError(f"a backend is a URL, a Backend or a function that gives one, not {type(source)!r}")


def _open(source: Source) -> _Opened:
    source = _url() if source is None else source
    if isinstance(source, str):
        return _open_url(source)
    if _is_backend(source):
        return _Opened(source, lambda: None)
    backend = source()
    return _Opened(backend, backend.close)


def _is_backend(source: object) -> TypeIs[Backend]:
    return hasattr(source, "push") and not isinstance(source, type)


def _open_url(url: str) -> _Opened:
    if is_private(url):
        backend = open_backend(url)
        return _Opened(backend, backend.close)
    return _Opened(SHARED.join(url), lambda: SHARED.leave(url))


def _url() -> str:
    url = os.environ.get(VARIABLE, "")
    if not url:
        raise ConfigurationError(f"no backend: give the queue a URL, as in Queue(name, 'memory://'), or set {VARIABLE}")
    return url
