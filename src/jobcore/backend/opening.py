"""Opening connections within a bound: resolvers, poolers and what hands out credentials keep no time of their own."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, TypeVar

T = TypeVar("T")

MOST_HANGING: Final = 16
"""Attempts that were given up and have not ended: with so many, each of which holds a thread, others fail at once."""


class Opener:
    """Has connections opened on threads of their own, and waits for each no longer than `timeout` seconds."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._attempts: set[Future[Any]] = set()

    def __call__(self, opens: Callable[[], T], discard: Callable[[T], object]) -> T:
        """What `opens` gives; if that comes too late, `discard` is called with it. Raises what `opens` raises.

        Raises:
            TimeoutError: it takes too long, or too many earlier attempts hang.
        """
        if sum(attempt.cancelled() for attempt in list(self._attempts)) >= MOST_HANGING:
            raise TimeoutError(f"{MOST_HANGING} earlier attempts to connect hang still")
        attempt: Future[T] = Future()
        context = contextvars.copy_context()
        arguments = self._attempt, attempt, opens, discard
        threading.Thread(target=context.run, args=arguments, name="jobcore-open", daemon=True).start()
        try:
            return attempt.result(self._timeout)
        except TimeoutError:
            if attempt.cancel():
                raise TimeoutError(f"no connection within {self._timeout:g} s") from None
            return attempt.result()  # at the last moment, or it timed out by itself
        except BaseException:
            if not (attempt.cancel() or attempt.exception()):  # we were interrupted as it came
                discard(attempt.result())
            raise

    def _attempt(self, attempt: Future[T], opens: Callable[[], T], discard: Callable[[T], object]) -> None:
        self._attempts.add(attempt)  # only now, as this thread might not have been to be had
        try:
            opened = opens()
        except BaseException as error:  # noqa: BLE001 -- it is the caller's to know
            if attempt.set_running_or_notify_cancel():
                attempt.set_exception(error)
        else:
            if attempt.set_running_or_notify_cancel():
                attempt.set_result(opened)
            else:
                discard(opened)
        finally:
            self._attempts.discard(attempt)
