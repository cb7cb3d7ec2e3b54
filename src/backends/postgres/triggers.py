"""Looking after the triggers by which any program's jobs wake workers."""

from __future__ import annotations

import logging
import random
import threading
import time
from typing import Final

from jobcore.backend import BackendError, Refused
from jobcore.backends.postgres.database import Database

_SOON: Final = 1.0
"""Seconds after which to try again what somebody was in the way of."""

_log: Final = logging.getLogger("jobcore.postgres")


class Triggers:
    """The triggers on `jobs`, as one client looks after them.

    A look waits for nobody and makes nobody wait: what can't be made at once is tried again soon, and what can't be
    made at all is found by polling meanwhile. The first refusal of a row of them is logged.

    Args:
        database: where they are.
        interval: seconds between looks, a tenth more or less, so that many workers don't all look at once.
    """

    def __init__(self, database: Database, interval: float) -> None:
        self._database = database
        self._interval = interval
        self._due = 0.0
        self._looking = threading.Lock()
        self._refused = False

    def look(self) -> None:
        """See to it that they are there, if the time has come and no other thread is at it."""
        if time.monotonic() >= self._due and self._looking.acquire(blocking=False):
            try:
                self._next(self._interval)  # before the look: what is doubted during it is looked at again
                if not self._ensure():
                    self._next(min(self._interval, _SOON))
            finally:
                self._looking.release()

    def doubt(self) -> None:
        """Look at the next occasion: anything may have happened."""
        self._due = 0.0

    def _next(self, pause: float) -> None:
        self._due = time.monotonic() + pause * random.uniform(0.9, 1.1)  # noqa: S311 -- spreads load, hides nothing

    def _ensure(self) -> bool:
        """Whether this needs no look again before the interval is over."""
        try:
            ((found,),) = self._database.run("ensure", {})
        except Refused as error:
            self._tell(error)
            return True
        except BackendError:
            return False  # the verbs meet the same trouble, and tell of it
        self._refused = False
        return bool(found != "busy")

    def _tell(self, error: Refused) -> None:
        if not self._refused:
            _log.warning(
                "jobs that other programs insert are found by polling alone, as no triggers can be made: %s", error
            )
        self._refused = True
