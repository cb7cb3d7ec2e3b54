"""From what a caller says to a `Push`, and from a `Push` to an answer that can be trusted."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import getrandbits
from typing import Final

from jobcore import clocks
from jobcore.backend import Backend, Push, Pushed
from jobcore.errors import BackendError, EnqueueUncertain, InvalidArgument, JobcoreError, Unavailable, Uncertain
from jobcore.job import check_seconds

AT_ONCE: Final = 1.0
"""Seconds within which a push has to fail to be tried again."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def new_id() -> str:
    """A made-up id: 26 hex digits that sort by this process's clock (52 bits of µs, and a random number of 51)."""
    return new_ids(1)[0]


def new_ids(count: int) -> list[str]:
    """As many ids as `new_id` makes up one: of this moment, and counted on from one, so that no two are the same."""
    first = (time.time_ns() // 1000 << 52) + getrandbits(51)  # `random` is seeded anew in a forked child
    return ["%026x" % (first + each) for each in range(count)]  # an f-string takes a third longer


def microseconds(what: str, duration: object) -> int:
    """A user's duration in whole microseconds, rounded up; raises InvalidArgument, naming `what`."""
    return math.ceil(round(check_seconds(what, duration) * 1_000_000, 3))


def due(delay: object, run_at: object) -> tuple[int, int | None]:
    """The `delay` and `run_at` of a `Push`, in microseconds.

    Raises:
        InvalidArgument: both were given, the delay is negative, or `run_at` has no time zone.
    """
    if run_at is None:
        return (0 if delay is None else microseconds("delay", delay)), None
    if delay is not None:
        raise InvalidArgument("delay and run_at exclude each other")
    if not isinstance(run_at, datetime) or run_at.utcoffset() is None:
        raise InvalidArgument(f"run_at is a datetime with a time zone, not {run_at!r}")
    return 0, max(0, (run_at - _EPOCH) // _MICROSECOND)


def push_surely(backend: Backend, queue: str, pushes: Sequence[Push]) -> list[Pushed]:
    """Push, and once more with the same ids if the store was away, or its answer lost, at once.

    What fails later has used up its driver's timeout: another try would have the caller wait for as long again.

    Raises:
        Unavailable: no try was sent.
        EnqueueUncertain: a try was sent, and no answer came.
    """
    begun = clocks.steady()
    try:
        return _push(backend, queue, pushes)
    except (Unavailable, Uncertain) as error:
        first = error
    try:
        if clocks.steady() - begun > AT_ONCE:
            raise first
        again = _push(backend, queue, pushes)
    except BackendError as last:
        doubt = next((error for error in (last, first) if isinstance(error, Uncertain)), None)
        if doubt is None:
            raise
        raise uncertain(pushes, doubt) from doubt
    return [_ours(push, pushed) for push, pushed in zip(pushes, again, strict=True)]


def uncertain(pushes: Sequence[Push], why: BaseException | None) -> EnqueueUncertain:
    """That it is not known whether these were stored."""
    some = ", ".join(push.id for push in pushes[:3]) + (", …" if len(pushes) > 3 else "")
    return EnqueueUncertain(
        f"the store may or may not have taken {some}; enqueuing again under the same ids does no harm ({why})",
        [push.id for push in pushes],
    )


def _push(backend: Backend, queue: str, pushes: Sequence[Push]) -> list[Pushed]:
    try:
        return backend.push(queue, pushes)
    except JobcoreError:
        raise
    except Exception as error:  # whatever a client library raises: nobody foresaw it, so nobody knows what was sent
        raise Uncertain(f"an unforeseen {type(error).__name__} of the store's client: {error}") from error


def _ours(push: Push, pushed: Pushed) -> Pushed:
    """The answer to a repeat: a made-up id that is there already was stored by the first try."""
    return pushed if push.remember or pushed.created else Pushed(pushed.id, created=True, state=pushed.state)
