"""Producers: threads that push jobs as fast as faults allow, and know of each whether it was acknowledged."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from jobcore.backend import Backend
from jobcore.errors import EnqueueUncertain, Refused, Unavailable
from jobcore.prove.journal import Journal
from jobcore.prove.recorded import recorded
from jobcore.prove.work import draw, make_queue
from jobcore.pushing import new_id

_BATCH: Final = 25
_PAUSE_SECONDS: Final = 0.1
_DELAY_SECONDS: Final = 0.5
_DELAYED: Final = 0.1
_CHOSEN: Final = 0.5
_GIVES_UP: Final = 0.2
"""Of batches, the shares that are delayed, and that have ids chosen here; of those whose answer was lost, the share
that is not repeated."""


class Pace:
    """How many jobs may have been pushed by now, so that pushes and faults end together; and how many have been.

    Attributes:
        acknowledged: how many jobs the store has taken.
    """

    def __init__(self) -> None:
        self.acknowledged = 0
        self._promised = 0  # acknowledged, or about to be pushed
        self._allowed = 0
        self._closed = False
        self._changed = threading.Condition()

    def allow(self, jobs: int) -> None:
        """Let there be so many."""
        with self._changed:
            self._allowed = max(self._allowed, jobs)
            self._changed.notify_all()

    def close(self) -> None:
        """No more: what was allowed has been done, or is not awaited any longer."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def take(self, most: int) -> int:
        """Wait until some may be pushed; how many that is, or 0 when it is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._promised < self._allowed)
            taken = 0 if self._closed else min(most, self._allowed - self._promised)
            self._promised += taken
            return taken

    def is_over(self, seconds: float) -> bool:
        """Whether it is over, or becomes so within these seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._closed, seconds)

    def done(self, taken: int, acknowledged: int) -> None:
        """Of so many that were taken, so many are stored; the others are to be made up for."""
        with self._changed:
            self._promised -= taken - acknowledged
            self.acknowledged += acknowledged
            self._changed.notify_all()

    def wait(self, jobs: int, timeout: float) -> bool:
        """Wait until so many are acknowledged; whether that came about in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._closed or self.acknowledged >= jobs, timeout)


class Producer(threading.Thread):
    """Pushes jobs in batches, over a connection of its own.

    Args:
        name: of the queue.
        open: opens the store.
        journal: where it writes what it sends.
        pace: says when to push.
        seed: of what it draws.
    """

    def __init__(self, name: str, open: Callable[[], Backend], journal: Path, pace: Pace, seed: int) -> None:
        super().__init__(name="jobcore-producer", daemon=True)
        self._journal = Journal(journal)
        self._queue = make_queue(name, lambda: recorded(open(), self._journal))
        self._pace = pace
        self._random = random.Random(seed)  # noqa: S311 -- to be drawn again, and hides nothing

        self.error: BaseException | None = None

    def run(self) -> None:
        """Push until it is over."""
        try:
            while taken := self._pace.take(_BATCH):
                self._pace.done(taken, taken if self._push(taken) else 0)
        except BaseException as error:  # noqa: BLE001 -- it is raised where the producer is awaited
            self.error = error
        finally:
            self._queue.close()
            self._journal.close()

    def _push(self, number: int) -> bool:
        """Push some jobs, and again under the same ids while the store is away; whether they are known to be stored."""
        jobs = draw(number, self._random)
        ids = [new_id() for _ in jobs] if self._random.random() < _CHOSEN else None
        delay = _DELAY_SECONDS if self._random.random() < _DELAYED else None
        while not self._pace.is_over(0):
            try:
                self._queue.enqueue_many(jobs, ids=ids, delay=delay)
            except EnqueueUncertain as error:
                if self._random.random() < _GIVES_UP:
                    return False
                ids = list(error.ids)
            except (Unavailable, Refused):
                pass  # not carried out
            else:
                return True
            self._pace.is_over(_PAUSE_SECONDS)
        return False
