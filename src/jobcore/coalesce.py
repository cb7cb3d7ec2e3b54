"""Async callers reach the synchronous store through one thread, which pushes all that waits in one batch."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from typing import Final, NamedTuple, TypeAlias

from jobcore.backend import Backend, Push, Pushed
from jobcore.errors import EnqueueUncertain, InvalidArgument, QueueClosed, Refused, Unavailable
from jobcore.pushing import push_surely, uncertain

LIMIT: Final = 1000
"""Pushes in one batch at the most, but for a single caller's larger one."""

_Answer: TypeAlias = list[Pushed] | BaseException


class _Call(NamedTuple):
    """One caller's jobs, and where their answer goes."""

    queue: str
    pushes: Sequence[Push]
    future: asyncio.Future[list[Pushed]]


class Coalescer:
    """Pushes what concurrent callers hand in, each batch in one round trip.

    Its thread is started by the first call. A caller that is cancelled may have stored its jobs. One caller's
    failure is its own: a batch that is refused is pushed again caller by caller, which the ids make harmless.

    Args:
        backend: gives the backend; called on the thread, so that opening it blocks no event loop.
    """

    def __init__(self, backend: Callable[[], Backend]) -> None:
        self._backend = backend
        self._lock = threading.Lock()
        self._waiting: list[_Call] = []
        self._working = self._closed = False
        self._thread = ThreadPoolExecutor(1, "jobcore-enqueue")

    async def push(self, queue: str, pushes: Sequence[Push]) -> list[Pushed]:
        """Push, and wait for the answer; raises as `push_surely`, and QueueClosed."""
        future: asyncio.Future[list[Pushed]] = asyncio.get_running_loop().create_future()
        with self._lock:
            if self._closed:
                raise QueueClosed("the queue was closed")
            self._waiting.append(_Call(queue, pushes, future))
            start, self._working = not self._working, True
        if start:
            self._start()
        return await future

    def close(self) -> None:
        """End the thread once it has pushed what waits."""
        with self._lock:
            self._closed = True
        self._thread.shutdown()

    def _start(self) -> None:
        try:
            self._thread.submit(self._work)
        except RuntimeError as error:  # no more threads are to be had just now: nobody would serve those who wait
            with self._lock:
                calls, self._waiting, self._working = self._waiting, [], False
            _resolve(calls, [Unavailable(f"nothing can be pushed: {error}") for _ in calls])

    def _work(self) -> None:
        while calls := self._take():
            by_queue: defaultdict[str, list[_Call]] = defaultdict(list)
            for call in calls:
                by_queue[call.queue].append(call)
            for queue, its in by_queue.items():
                _resolve(its, self._answers(queue, its))

    def _take(self) -> list[_Call]:
        """The calls of the next batch; none: the work is over."""
        with self._lock:
            size = taken = 0
            for call in self._waiting:
                size += len(call.pushes)
                if taken and size > LIMIT:
                    break
                taken += 1
            calls, self._waiting = self._waiting[:taken], self._waiting[taken:]
            self._working = bool(calls)
            return calls

    def _answers(self, queue: str, calls: Sequence[_Call]) -> list[_Answer]:
        pushes = [push for call in calls for push in call.pushes]
        try:
            pushed = iter(push_surely(self._backend(), queue, pushes))
        except EnqueueUncertain as error:
            return [uncertain(call.pushes, error.__cause__) for call in calls]
        except (Refused, InvalidArgument) as error:
            return [error] if len(calls) == 1 else [self._answers(queue, [call])[0] for call in calls]
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is the callers' to know
            return [copy(error) for _ in calls]
        return [[next(pushed) for _ in call.pushes] for call in calls]


def _resolve(calls: Sequence[_Call], answers: Sequence[_Answer]) -> None:
    """Hand each caller its answer, waking each event loop once."""
    answered = defaultdict(list)
    for call, answer in zip(calls, answers, strict=True):
        answered[call.future.get_loop()].append((call.future, answer))
    for loop, its in answered.items():
        try:
            loop.call_soon_threadsafe(_set, its)
        except RuntimeError:  # that loop was closed: nobody waits there any more
            continue


def _set(answered: Sequence[tuple[asyncio.Future[list[Pushed]], _Answer]]) -> None:
    for future, answer in answered:
        if future.done():  # cancelled
            continue
        if isinstance(answer, BaseException):
            future.set_exception(answer)
        else:
            future.set_result(answer)
