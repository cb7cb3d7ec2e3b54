"""The driver: each verb checks its arguments, takes the lock, reads the clock, and lets the queue's jobs move."""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from jobcore.backend import (
    Answer,
    Claim,
    Claimed,
    Clock,
    Counts,
    Entry,
    Hold,
    Keep,
    Outcome,
    Page,
    Push,
    Pushed,
    QueueClosed,
    State,
    SystemClock,
    check_claim,
    check_extend,
    check_id,
    check_peek,
    check_push,
    check_queue,
    check_reclaim,
    check_settle,
)
from jobcore.backends.memory.jobs import Jobs

# One lock for all stores: whoever forks holds it, so that the child's copy is whole and its lock is free.
_lock: Final = threading.Lock()
os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)

_SECOND: Final = 1_000_000
_MIN_WAIT: Final = 0.001


class Store:
    """The jobs of some queues, for one backend or for several that share them."""

    def __init__(self) -> None:
        self.queues = defaultdict[str, Jobs](Jobs)
        self.changed = threading.Condition(_lock)

    def wake(self) -> None:
        """Have all who wait look again."""
        with self.changed:
            self.changed.notify_all()


class MemoryBackend:
    """A `Backend` in this process's memory.

    Args:
        clock: what tells the time; the process's wall clock unless given.
        store: where the jobs are; a new one unless given. Backends of one store are clients of the same jobs.
    """

    def __init__(self, clock: Clock | None = None, *, store: Store | None = None) -> None:
        self._clock = clock or SystemClock()
        self.store = store or Store()
        self._closed = False
        self._clock.watch(self.store.wake)

    def push(self, queue: str, pushes: Sequence[Push]) -> list[Pushed]:
        """See `Backend.push`."""
        check_push(queue, pushes)
        with self._changing(queue) as (jobs, now):
            return [jobs.push(push, now) for push in pushes]

    def claim(self, queue: str, limit: int, lease: int, holder: str, call: bytes, max_bytes: int) -> Claimed:
        """See `Backend.claim`."""
        check_claim(queue, limit, lease, holder, call, max_bytes)
        with self._looking(queue) as (jobs, now):
            return jobs.claim(limit, lease, holder, call, max_bytes, now)

    def reclaim(
        self, queue: str, limit: int, lease: int, holder: str, call: bytes, of: str | None = None
    ) -> list[Claim]:
        """See `Backend.reclaim`."""
        check_reclaim(queue, limit, lease, holder, call, of)
        with self._looking(queue) as (jobs, now):
            return jobs.reclaim(limit, lease, holder, call, of, now)

    def extend(self, queue: str, holds: Sequence[Hold], lease: int) -> list[Answer]:
        """See `Backend.extend`."""
        check_extend(queue, holds, lease)
        with self._looking(queue) as (jobs, now):
            return [jobs.extend(hold, lease, now) for hold in holds]

    def settle(self, queue: str, settlements: Sequence[tuple[Hold, Outcome]], keep: Keep) -> list[Answer]:
        """See `Backend.settle`."""
        check_settle(queue, settlements, keep)
        with self._changing(queue) as (jobs, now):
            return [jobs.settle(hold, outcome, keep, now) for hold, outcome in settlements]

    def peek(self, queue: str, state: State, limit: int, after: str | None = None) -> Page:
        """See `Backend.peek`."""
        check_peek(queue, limit)
        with self._looking(queue) as (jobs, now):
            return jobs.peek(state, limit, after, now)

    def get(self, queue: str, ids: Sequence[str]) -> list[Entry | None]:
        """See `Backend.get`."""
        _check_ids(queue, ids)
        with self._looking(queue) as (jobs, now):
            return [jobs.get(id, now) for id in ids]

    def counts(self, queue: str) -> Counts:
        """See `Backend.counts`."""
        check_queue(queue)
        with self._looking(queue) as (jobs, now):
            return jobs.counts(now)

    def redrive(self, queue: str, ids: Sequence[str]) -> list[Answer]:
        """See `Backend.redrive`."""
        _check_ids(queue, ids)
        with self._changing(queue) as (jobs, now):
            return [jobs.redrive(id, now) for id in ids]

    def remove(self, queue: str, ids: Sequence[str]) -> list[Answer]:
        """See `Backend.remove`."""
        _check_ids(queue, ids)
        with self._looking(queue) as (jobs, now):
            return jobs.remove(ids, now)

    def destroy(self, queue: str) -> None:
        """See `Backend.destroy`."""
        check_queue(queue)
        with self._looking(queue):
            self.store.queues.pop(queue, None)

    def confined(self) -> str:
        """See `Confined.confined`."""
        return "the memory of one process"

    def close(self) -> None:
        """See `Backend.close`. The store stays, for those who share it."""
        self._closed = True
        self.store.wake()

    def wait(self, queues: Collection[str], timeout: float) -> set[str]:
        """See `Wakes.wait`."""
        for queue in queues:
            check_queue(queue)
        with self.store.changed:
            ahead = self._ahead(queues)
            soonest = min(ahead.values(), default=timeout)
            if min(soonest, timeout) > 0:  # nor for so little that a clock standing still keeps us busy
                self.store.changed.wait(min(timeout, 1.0, max(soonest, _MIN_WAIT)))
                ahead = self._ahead(queues)
            return {queue for queue, seconds in ahead.items() if seconds <= 0}

    @contextmanager
    def _looking(self, queue: str) -> Iterator[tuple[Jobs, int]]:
        """The queue's jobs and the time, under the lock. A queue that is not there is empty, and none is made."""
        with self.store.changed:
            self._check_open()
            yield self.store.queues.get(queue) or Jobs(), self._clock.now()

    @contextmanager
    def _changing(self, queue: str) -> Iterator[tuple[Jobs, int]]:
        """The same, for verbs that can make a job ready: the queue is made, and whoever waits is woken."""
        with self.store.changed:
            self._check_open()
            yield self.store.queues[queue], self._clock.now()
            self.store.changed.notify_all()

    def _check_open(self) -> None:
        if self._closed:
            raise QueueClosed("this backend was closed")

    def _ahead(self, queues: Collection[str]) -> dict[str, float]:
        """Seconds until the first job is due, of each queue in which some wait."""
        self._check_open()
        now = self._clock.now()
        soonest = {queue: self.store.queues[queue].soonest() for queue in queues if queue in self.store.queues}
        return {queue: (place - now) / _SECOND for queue, place in soonest.items() if place is not None}


def _check_ids(queue: str, ids: Sequence[str]) -> None:
    check_queue(queue)
    for id in ids:
        check_id(id)
