"""Running: threads for sync jobs, one event loop for async ones, and a bounded number of both at once.

A hand is the right to run one job. Tasks wait in two deques; whoever has a hand takes the next. No
lock and no wake-up is spent on a single job: deques are atomic, and threads are woken by the batch.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from contextvars import Context
from math import ceil
from queue import SimpleQueue
from typing import Any, Final

from jobcore.backend import InvalidArgument, Return
from jobcore.eventloop import Loop
from jobcore.run import Raised, Task, call, conclude, limited
from jobcore.timeouts import Timeouts
from jobcore.transactions import THREAD_ONLY, end

_log: Final = logging.getLogger("jobcore")

_SPELL: Final = 0.001
"""Seconds of expected work that are worth waking a thread for."""


class Hands:
    """Runs tasks, at most `count` at once; each that has its outcome is passed to its setting's `finished`.

    Args:
        count: how many jobs may run at the same time.
        on_stuck: called with the task of a job that runs on past its timeout and `grace`.
        grace: seconds.
    """

    def __init__(self, count: int, on_stuck: Callable[[Task], None], grace: float) -> None:
        self.count = count
        self.loop = Loop()
        self.timeouts = Timeouts(grace, on_stuck)
        self._free = deque(range(count))
        self._sync: deque[Task] = deque()
        self._async: deque[Task] = deque()
        self._awaited: dict[Task, asyncio.Task[None]] = {}
        self._bell: SimpleQueue[bool] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = self._parked = 0
        self._mean = 1.0  # seconds of a sync run, smoothed; long until known, so that the first ones get a thread each
        self._cancelled = self._closed = False
        self._short = False  # of threads, when one was last to be started

    @property
    def waiting(self) -> int:
        """How many tasks no hand has taken yet."""
        return len(self._sync) + len(self._async)

    @property
    def free(self) -> int:
        """How many hands run nothing."""
        return len(self._free)

    @property
    def cancelling(self) -> bool:
        """Whether async jobs may run yet: they have not been cancelled, or have not ended since."""
        return self.loop.started and not (self._cancelled and not self._awaited)

    def blocking(self) -> Task | None:
        """The task whose async job the loop is at, while that does not let go; None if it is at none of them."""
        current = asyncio.current_task(self.loop.get())
        return next((task for task, running in list(self._awaited.items()) if running is current), None)

    def give(self, tasks: Iterable[Task]) -> None:
        """Have tasks run, in order, as hands become free."""
        for task in tasks:
            (self._async if task.type.is_async else self._sync).append(task)
        self.nudge()

    def nudge(self) -> None:
        """See that what waits is being taken: called after `give`, and again while something waits."""
        if self._async and self._free:
            self._pump_soon()
        if self._sync and self._free:
            work = ceil(len(self._sync) * self._mean / _SPELL)
            self._wake(min(work, len(self._sync), len(self._free)))

    def withdraw(self) -> list[Task]:
        """Take back what has not begun."""
        tasks: list[Task] = []
        for waiting in (self._sync, self._async):
            while waiting:
                try:
                    tasks.append(waiting.popleft())
                except IndexError:
                    break
        return tasks

    def cancel(self) -> None:
        """Cancel the async jobs that run: they end as given back."""
        if self.loop.started and not self._cancelled:
            self.loop.soon(self._cancel)

    def close(self) -> None:
        """End the threads that run nothing. One whose job runs on is left to the end of the process."""
        with self._lock:
            self._closed = True
            for _ in range(self._threads):
                self._bell.put(False)
        self.timeouts.close()
        self.loop.close()

    def _wake(self, number: int) -> None:
        with self._lock:
            for _ in range(number):
                if self._parked:
                    self._parked -= 1
                elif self._closed or self._threads == self.count or not self._start():
                    return
                self._bell.put(True)

    def _start(self) -> bool:
        """Whether another thread could be started; if not, what waits is nudged again."""
        thread = threading.Thread(target=self._serve, name=f"jobcore-hand-{self._threads + 1}", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no more threads are to be had just now
            if not self._short:
                _log.warning("no thread can be started for jobs: they wait for those there are, or until one can")
            self._short = True
            return False
        self._short = False
        self._threads += 1
        return True

    def _serve(self) -> None:
        """The life of a thread: work while there is work, then wait to be woken."""
        while self._bell.get():
            while self._take():
                pass
            with self._lock:
                self._parked += 1

    def _take(self) -> bool:
        """Take a hand and run sync tasks with it. True: look again."""
        try:
            hand = self._free.pop()
        except IndexError:
            return False
        ran = False
        while not (ran and self._async):  # async tasks that wait have their turn at this hand
            try:
                task = self._sync.popleft()
            except IndexError:
                break
            ran = True
            if not self._run(task, hand):
                return True
        self._free.append(hand)
        if self._async:
            self._pump_soon()
        return ran

    def _run(self, task: Task, hand: int) -> bool:
        """Run a sync job. False: it returned an awaitable, and the hand has gone with it to the loop."""
        timeout = task.type.policy.timeout
        ended = call(task) if timeout is None else self.timeouts.call(task, timeout)
        if ended is not None and inspect.isawaitable(ended):
            if task.transaction is not None:
                _drop(ended)
                ended = Raised(InvalidArgument(THREAD_ONLY))
            elif self._pass_on(task, ended, hand):
                return False
            else:
                task.cancelled, ended = True, Return()
        conclude(task, ended)
        if task.transaction is not None:
            end(task, task.transaction)
        self._mean += (task.ended - task.began - self._mean) * 0.05
        task.setting.finished(task)
        return True

    def _pass_on(self, task: Task, answer: Awaitable[Any], hand: int) -> bool:
        """Have an awaitable awaited on the loop. False: the worker has left, and the job to its lease."""
        try:
            self.loop.soon(self._adopt, task, answer, hand)
        except RuntimeError:
            _drop(answer)
            return False
        return True

    def _pump_soon(self) -> None:
        with suppress(RuntimeError):  # no thread is to be had for the loop just now, or it was closed
            self.loop.soon(self._pump)

    def _pump(self) -> None:
        """On the loop: start async tasks while there are hands."""
        while self._async and self._free:
            try:
                hand = self._free.pop()
            except IndexError:
                return
            try:
                task = self._async.popleft()
            except IndexError:
                self._free.append(hand)
                return
            self._adopt(task, None, hand)

    def _adopt(self, task: Task, answer: Awaitable[Any] | None, hand: int) -> None:
        running = self._await(task, answer, hand)
        create = asyncio.get_running_loop().create_task
        context = Context()  # not that of the job that ended just now
        self._awaited[task] = create(running, name=task.type.name, context=context)

    async def _await(self, task: Task, answer: Awaitable[Any] | None, hand: int) -> None:
        timeout = task.type.policy.timeout
        if timeout is not None:
            self.timeouts.start(task, timeout)
        ended = self._begin(task, answer)
        if inspect.isawaitable(ended):
            try:
                ended = await (ended if timeout is None else limited(task, ended, timeout))
            except BaseException as error:  # noqa: BLE001 -- also SystemExit: a job does not end its worker
                ended = Raised(error)
        conclude(task, ended)
        if timeout is not None:
            self.timeouts.stop(task)
        del self._awaited[task]
        self._free.append(hand)
        task.setting.finished(task)
        if self._async:
            self._pump()
        if self._sync:
            self.nudge()

    def _begin(self, task: Task, answer: Awaitable[Any] | None) -> Any:
        """What is to be awaited, or what an async job has come to already."""
        if self._cancelled:  # just before it could begin
            task.cancelled = True
            _drop(answer)
            return Return()
        return call(task) if answer is None else answer

    def _cancel(self) -> None:
        if self._cancelled:
            return
        self._cancelled = True
        for task, running in list(self._awaited.items()):
            if _has_begun(running):  # one that has not will see for itself
                task.cancelled = True
                running.cancel()


def _has_begun(running: asyncio.Task[None]) -> bool:
    """Whether a coroutine of ours has got its first turn on the loop: cancelled before that it would never run."""
    coroutine = running.get_coro()
    return inspect.iscoroutine(coroutine) and inspect.getcoroutinestate(coroutine) != inspect.CORO_CREATED


def _drop(answer: Awaitable[Any] | None) -> None:
    """Close a coroutine that nobody will await."""
    if inspect.iscoroutine(answer):
        answer.close()
