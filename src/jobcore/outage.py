"""A store that is away: how long to wait before it is asked again, and who is told."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Sequence
from typing import Final

from jobcore import clocks
from jobcore.backend import BackendError
from jobcore.events import Event, Kind, Teller

_FIRST_SECONDS: Final = 0.1
_MOST_SECONDS: Final = 5.0

_log: Final = logging.getLogger("jobcore")


class Outage:
    """Whether a store answers: after each failure in a row it is left alone for longer, up to 5 s.

    But for no more than a quarter of a lease: what was claimed by a call whose answer was lost is nobody's until then.

    Args:
        teller: what AWAY and BACK are told to.
        queues: gives the names of those that are concerned.
        lease: seconds.
    """

    def __init__(self, teller: Callable[[], Teller], queues: Sequence[str], lease: float) -> None:
        self.retry_at = 0.0
        self._teller = teller
        self._queues = queues
        self._lease = lease
        self._failures = 0
        self._counting = threading.Lock()

    def beside(self) -> Outage:
        """One for other calls to the same store, counted apart."""
        return Outage(self._teller, self._queues, self._lease)

    @property
    def lasts(self) -> bool:
        """Whether the last call failed."""
        return self._failures > 0

    def failed(self, error: Exception) -> None:
        """A call failed."""
        wait = min(_MOST_SECONDS, self._lease / 4, _FIRST_SECONDS * 2 ** min(self._failures, 10))
        if self._failures == 0 and not isinstance(error, BackendError):
            _log.error("an unforeseen error of the backend, which is tried again", exc_info=error)
        self._failures += 1
        self.retry_at = clocks.steady() + wait * random.uniform(0.5, 1)  # noqa: S311 -- spreads retries, hides nothing
        self._tell(Kind.AWAY, f"{type(error).__name__}: {error}")

    def worked(self) -> None:
        """A call was answered."""
        with self._counting:  # two calls may be answered at once
            failures, self._failures = self._failures, 0
        if failures:
            self._tell(Kind.BACK)

    def _tell(self, kind: Kind, reason: str = "") -> None:
        self._teller().tell([Event(kind, queue, at=clocks.wall(), reason=reason) for queue in self._queues])
