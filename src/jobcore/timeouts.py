"""Timeouts of running jobs: one thread that looks at what is timed and sleeps otherwise."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Any

from jobcore import clocks
from jobcore.job import JobTimeout, seconds
from jobcore.run import Raised, Task, call

if TYPE_CHECKING:
    from jobcore.job import Seconds


class _Alarm:
    """The timeout of one run. `thread` is that of a sync job; an async one is cancelled by its loop."""

    __slots__ = ("due", "guard", "over", "rang", "stuck", "task", "thread")

    def __init__(self, task: Task, due: float, thread: int | None) -> None:
        self.task = task
        self.due = due  # when to look at it next: at its timeout, after its grace, never again
        self.thread = thread
        self.guard = threading.Lock()
        self.over = False
        self.rang = False
        self.stuck = False

    def fire(self) -> None:
        """Raise `JobTimeout` in the job's thread, unless the run has ended."""
        with self.guard:
            if self.thread is not None and not self.over:
                self.task.expired = True
                _raise_in(self.thread, JobTimeout)

    def end(self) -> None:
        """From here on nothing is raised. What was, and has not arrived, arrives here, and not later.

        It is not taken back: CPython would then look for it at every bytecode of every thread from here on, and,
        in a thread that is traced, for ever.
        """
        with self.guard:
            self.over = True
        for _ in range(10 * self.task.expired):
            pass  # a loop's jump back is where such exceptions are raised


class Timeouts:
    """Watches runs that have a timeout.

    Args:
        grace: seconds past its timeout after which a job that runs on counts as stuck.
        on_stuck: called, once, with the task of such a job.
    """

    def __init__(self, grace: float, on_stuck: Callable[[Task], None]) -> None:
        self._grace = grace
        self._on_stuck = on_stuck
        self._alarms: dict[Task, _Alarm] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._look_at = inf
        self._closed = False

    @property
    def stuck(self) -> int:
        """How many jobs run on past timeout and grace just now."""
        return sum(alarm.stuck for alarm in list(self._alarms.values()))

    def call(self, task: Task, timeout: Seconds) -> Any:
        """`run.call`, with `JobTimeout` raised in this thread once `timeout` is over."""
        alarm = _Alarm(task, clocks.steady() + seconds(timeout), threading.get_ident())
        ended: Any = None
        try:
            with alarm.guard:  # it does not fire before it can be caught
                self._watch_over(alarm)
            ended = call(task)
            alarm.end()
        except JobTimeout as late:  # it arrived when the job had just ended, or not begun
            ended = Raised(late) if ended is None else ended
        finally:
            self.stop(task)
        return ended

    def start(self, task: Task, timeout: Seconds) -> None:
        """Watch a run on the event loop, which begins now, for whether it gets stuck."""
        self._watch_over(_Alarm(task, clocks.steady() + seconds(timeout), None))

    def stop(self, task: Task) -> None:
        """The run has ended."""
        with self._changed:
            alarm = self._alarms.pop(task, None)
        if alarm is not None:
            alarm.over = True

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _watch_over(self, alarm: _Alarm) -> None:
        with self._changed:
            self._alarms[alarm.task] = alarm
            if self._thread is None:
                self._start()
            if alarm.due < self._look_at:
                self._look_at = alarm.due
                self._changed.notify()

    def _start(self) -> None:
        thread = threading.Thread(target=self._watch, name="jobcore-timeouts", daemon=True)
        with suppress(RuntimeError):  # no more threads are to be had just now: the next run tries again
            thread.start()
            self._thread = thread

    def _watch(self) -> None:
        while True:
            with self._changed:
                now = clocks.steady()
                due = [alarm for alarm in self._alarms.values() if alarm.due <= now]
            for alarm in due:
                self._ring(alarm)
            with self._changed:
                if self._closed:
                    return
                self._look_at = min((alarm.due for alarm in self._alarms.values()), default=inf)
                self._changed.wait(min(self._look_at - clocks.steady(), threading.TIMEOUT_MAX))

    def _ring(self, alarm: _Alarm) -> None:
        """The timeout of a run is over, or the grace after it as well."""
        if not alarm.rang:
            alarm.rang = True
            alarm.due += self._grace
            alarm.fire()
        elif not alarm.over:
            alarm.due = inf
            alarm.stuck = alarm.task.abandoned = True
            self._on_stuck(alarm.task)


def _raise_in(thread: int, kind: type[BaseException]) -> None:
    """Have a thread raise an exception at its next bytecode."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(kind))
