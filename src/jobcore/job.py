"""What a job is, what it may answer, and the policy that says what happens then."""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypedDict, final

from jobcore.errors import InvalidArgument

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


def check_seconds(what: str, duration: object) -> float:
    """A user's duration in seconds.

    Raises:
        InvalidArgument: it is no finite number of seconds from 0 on; the message begins with `what`.
    """
    value = duration.total_seconds() if isinstance(duration, timedelta) else duration
    if not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise InvalidArgument(f"{what} is a number of seconds from 0 on or a timedelta, not {duration!r}")
    return float(value)


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


class JobTimeout(BaseException):
    """Raised in the thread of a job, at its next bytecode, when its time is up.

    A BaseException, so that a job's own `except Exception` does not stop it.
    """


@final
@dataclass(frozen=True, slots=True)
class LinearBackoff:
    """The same delay before each further attempt. As IHP's `LinearBackoff`."""

    delay: Seconds

    def __post_init__(self) -> None:
        check_seconds("the delay of a backoff", self.delay)

    def __call__(self, attempt: int) -> float:  # noqa: ARG002 -- all backoffs are called alike
        """Seconds to wait after the given attempt (the first is 1)."""
        return seconds(self.delay)


@final
@dataclass(frozen=True, slots=True)
class ExponentialBackoff:
    """`delay * 2**(attempt-1)` seconds, at most `cap`, spread by up to `jitter` of itself either way."""

    delay: Seconds
    cap: Seconds = DAY
    jitter: float = 0.1

    def __post_init__(self) -> None:
        check_seconds("the delay of a backoff", self.delay)
        check_seconds("the cap of a backoff", self.cap)
        if not 0 <= self.jitter <= 1:
            raise InvalidArgument(f"the jitter of a backoff is a share from 0 to 1, not {self.jitter!r}")

    def __call__(self, attempt: int) -> float:
        """Seconds to wait after the given attempt (the first is 1)."""
        cap = seconds(self.cap)
        doublings = min(attempt - 1, 64)
        spread = 1 + random.uniform(-self.jitter, self.jitter)  # noqa: S311 -- no secret depends on it
        return min(cap, seconds(self.delay) * 2.0**doublings * spread)


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

    Raises:
        InvalidArgument: a value is of the wrong type or out of range.
    """

    max_attempts: int | None = 10
    max_lost: int = 5
    timeout: Seconds | None = None
    backoff: Backoff = ExponentialBackoff(1.0)
    on_exception: OnException = ExceptionBehavior.FAIL

    def __post_init__(self) -> None:
        if self.max_attempts is not None and not _counts(self.max_attempts):
            raise InvalidArgument(f"max_attempts is a whole number from 1 on or None, not {self.max_attempts!r}")
        if not _counts(self.max_lost):
            raise InvalidArgument(f"max_lost is a whole number from 1 on, not {self.max_lost!r}")
        if self.timeout is not None and not check_seconds("timeout", self.timeout):
            raise InvalidArgument("timeout is more than 0 seconds, or None for no bound")
        if not isinstance(self.backoff, Backoff):
            raise InvalidArgument(f"backoff is a LinearBackoff or an ExponentialBackoff, not {self.backoff!r}")
        if not _is_behavior(self.on_exception):
            raise InvalidArgument(
                "on_exception is ExceptionBehavior.FAIL or RETRY, or a mapping from exception classes to these, "
                f"not {self.on_exception!r}"
            )


class PolicyOptions(TypedDict, total=False):
    """`Policy` as keyword arguments: those that are not given are left to the next in line."""

    max_attempts: int | None
    max_lost: int
    timeout: Seconds | None
    backoff: Backoff
    on_exception: OnException


class JobOptions(PolicyOptions, total=False):
    """What the decorator `queue.job` takes: policy, and the names that the job is stored under."""

    name: str
    aliases: Sequence[str]


def _counts(number: object) -> bool:
    return type(number) is int and number >= 1


def _is_behavior(value: object) -> bool:
    if not isinstance(value, Mapping):
        return isinstance(value, ExceptionBehavior)
    kinds = all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in value)
    return kinds and all(isinstance(behavior, ExceptionBehavior) for behavior in value.values())


def _no_transaction() -> Any:
    raise InvalidArgument("this JobContext is not that of a running job, and has no transaction")


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

    Example of a transfer that happens once, however often the job is begun:
        @queue.job(context=True, on_exception=ExceptionBehavior.RETRY)
        def pay(ctx: JobContext[None], account: int, cents: int) -> None:
            ctx.transaction().execute(text("UPDATE …"), {"account": account, "cents": cents})
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
    _transact: Callable[[], Any] = field(default=_no_transaction, repr=False, compare=False)

    def transaction(self) -> Any:
        """A connection to the database that holds the queue, in a transaction that is the job's: for a plain def.

        What is written on it is committed together with the job's success, if its lease was not taken over by then;
        whatever else becomes of the job undoes it. Each call gives the same connection. PostgreSQL: SQLAlchemy's
        `Connection`, in READ COMMITTED; not to be committed, rolled back or closed, but `begin_nested()` is allowed.

        Raises:
            InvalidArgument: the backend has no transactions for jobs, the job is async, or this is another thread.
            ConfigurationError: its connections are at another isolation level.
            BackendError: the store could not be reached, or refused.
        """
        return self._transact()
