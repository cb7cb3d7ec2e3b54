"""What a job is, what it may answer, and the policy that says what happens then."""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, final

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    S = TypeVar("S", contravariant=True, default=object)
    C = TypeVar("C", covariant=True, default=Any)
else:
    from typing import TypeVar

    S = TypeVar("S", contravariant=True)
    C = TypeVar("C", covariant=True)

Seconds: TypeAlias = float | timedelta
"""A duration as users give it: seconds, or a timedelta."""

DAY: Final = 86400.0


def seconds(duration: Seconds) -> float:
    """A duration in seconds."""
    return duration.total_seconds() if isinstance(duration, timedelta) else float(duration)


class Job(Generic[S]):
    """The base of jobs with a shape of their own; `S` is the state that they are run with.

    Put it under a dataclass, a `msgspec.Struct`, an attrs class or a pydantic model: the fields are
    what is stored. Define `run(self)`, `run(self, state)` or `run(self, state, context)`, plain or
    `async`. Policy is given by class attributes that are no fields (see `Policy`).

    Example:
        @queue.job
        @dataclass(frozen=True)
        class SendEmail(Job[Mailer]):
            to: str

            def run(self, mailer: Mailer) -> None:
                mailer.send(self.to)
    """

    __slots__ = ()


@final
@dataclass(frozen=True, slots=True)
class Success:
    """The job is done. `value` is kept, as JSON, with a job that is kept."""

    value: Any = None


@final
@dataclass(frozen=True, slots=True)
class Retry:
    """Run the job again while attempts are left, after `delay` or as its backoff says.

    Example: `return Retry("mailbox busy", delay=30)`
    """

    message: str = ""
    delay: Seconds | None = None


@final
@dataclass(frozen=True, slots=True)
class Failure:
    """The job has failed for good; it is not run again, and is kept among the failed ones."""

    message: str = ""


Result: TypeAlias = Success | Retry | Failure
"""What `run` may return; None or any other value counts as a success with it."""


class ExceptionBehavior(Enum):
    """What an exception in a job means: FAIL, a failure (the default), or RETRY."""

    FAIL = "fail"
    RETRY = "retry"


class JobTimeout(BaseException):  # noqa: N818 -- it is no error of the job's, and `except Exception` must not stop it
    """Raised in the thread of a job, at its next bytecode, when its time is up."""


@final
@dataclass(frozen=True, slots=True)
class LinearBackoff:
    """The same delay before each further attempt. As IHP's `LinearBackoff`."""

    delay: Seconds

    def __call__(self, attempt: int) -> float:
        """Seconds to wait after the given attempt (the first is 1)."""
        return seconds(self.delay)


@final
@dataclass(frozen=True, slots=True)
class ExponentialBackoff:
    """`delay * 2**(attempt-1)` seconds, at most `cap`, spread by up to `jitter` of itself either way."""

    delay: Seconds
    cap: Seconds = DAY
    jitter: float = 0.1

    def __call__(self, attempt: int) -> float:
        """Seconds to wait after the given attempt (the first is 1)."""
        cap = seconds(self.cap)
        doublings = min(attempt - 1, 64)
        spread = 1 + random.uniform(-self.jitter, self.jitter)  # noqa: S311 -- no secret depends on it
        return min(cap, seconds(self.delay) * 2**doublings * spread)


Backoff: TypeAlias = LinearBackoff | ExponentialBackoff
OnException: TypeAlias = ExceptionBehavior | Mapping[type[BaseException], ExceptionBehavior]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How a job type is run; each field is a class attribute, a decorator's or a queue's argument.

    Attributes:
        max_attempts: runs at the most (1: never again; None: no bound).
        max_lost: leases that may end unsettled before the job is failed as lost.
        timeout: seconds that a run may take; None: no bound.
        backoff: the delay before each further attempt.
        on_exception: what an exception means; in a mapping the most specific class wins, and an
            exception that none covers is a failure.
    """

    max_attempts: int | None = 10
    max_lost: int = 5
    timeout: Seconds | None = None
    backoff: Backoff = ExponentialBackoff(1.0)
    on_exception: OnException = ExceptionBehavior.FAIL


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class JobContext(Generic[C]):
    """What a running job may ask about itself.

    Attributes:
        state: the queue's state, or what its lifespan gave.
        id: the job's id.
        queue: the queue's name.
        name: the job's name.
        attempt: this run's number, from 1.
        max_attempts: how many runs there may be (None: no bound).
        lost: how often a worker was lost while it held this job.
        fence: an integer that rises with each claim of this job: store it with what you write
            elsewhere, and refuse a write whose fence is lower than the stored one.
        priority: the job's priority.
        pushed_at: when it was enqueued, by the store's clock.
        started_at: when this run was claimed, by the store's clock.
        logger: the queue's logger.
    """

    state: C
    id: str
    queue: str
    name: str
    attempt: int
    max_attempts: int | None
    lost: int
    fence: int
    priority: int
    pushed_at: datetime
    started_at: datetime
    logger: logging.Logger
