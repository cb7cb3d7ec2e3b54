"""Deciding: from a claim to an outcome. Nothing here touches a store.

The steps, each of which changes the type: claim → job (decode) → result (call) → outcome (interpret).
"""

from __future__ import annotations

import asyncio
import contextvars
import math
import threading
import traceback
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from itertools import dropwhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from jobcore import backend as store
from jobcore import clocks
from jobcore.backend import Claim, Fail, Outcome, Return, State, Succeed
from jobcore.codec import Undecodable
from jobcore.job import (
    ExceptionBehavior,
    Failure,
    JobContext,
    Policy,
    Retry,
    Seconds,
    Success,
    check_seconds,
    seconds,
)

if TYPE_CHECKING:
    import logging

    from jobcore.backend import Answer, Keep, Transaction

_RESULTS: Final = (Success, Retry, Failure)

CENTURY: Final = 100 * 366 * 86400.0
"""Seconds: no retry is later than that, so that its time is one that every store can hold."""


class Setting(Protocol):
    """What the runs of one queue have in common."""

    @property
    def name(self) -> str:
        """The queue's name."""
        ...

    @property
    def state(self) -> Any:
        """What jobs are handed."""
        ...

    @property
    def keep(self) -> Keep:
        """How many finished jobs are kept: a value that will not be kept is not encoded."""
        ...

    @property
    def logger(self) -> logging.Logger:
        """The queue's logger."""
        ...

    @property
    def begun(self) -> Callable[[Task], None] | None:
        """Told of each task that begins, if anybody wants to know."""
        ...

    def transact(self, task: Task, thread: int, /) -> Any:
        """The connection of a task's transaction, for a job that runs in `thread` and asks for it."""
        ...

    def finished(self, task: Task, /) -> None:
        """Told of each task that has its outcome, on the thread that ran it; must be quick."""
        ...


class Runnable(Protocol):
    """What a task needs of its job's type: a `JobType`, or `Unopened`."""

    @property
    def name(self) -> str | None:
        """The job's name, if it is known."""
        ...

    @property
    def policy(self) -> Policy:
        """How it is run."""
        ...

    @property
    def is_async(self) -> bool:
        """Whether it is run on the event loop from the start."""
        ...

    def decode(self, args: msgspec.Raw) -> Any:
        """Make the job; raises `Undecodable`."""
        ...

    def call(self, job: Any, state: Any, context: Callable[[], JobContext[Any]]) -> Any:
        """Run the job."""
        ...


class Unopened:
    """The type of a payload that is no job here: decoding it fails with the reason."""

    name = None
    policy = Policy()
    is_async = False

    def __init__(self, error: Undecodable) -> None:
        self._error = error

    def decode(self, args: msgspec.Raw) -> Any:  # noqa: ARG002 -- there is nothing to look at
        """Raise what opening the payload raised."""
        raise self._error

    def call(self, job: Any, state: Any, context: Callable[[], JobContext[Any]]) -> Any:
        """Never reached: there is no job to call."""
        raise AssertionError(job, state, context)


NOTHING: Final = msgspec.Raw(b"")

_SUCCEEDED: Final = Succeed()  # what nearly all runs come to


class Task(msgspec.Struct, eq=False):
    """One claimed job on its way through a worker. Times are seconds of `clocks.steady`.

    Attributes:
        setting: what it has in common with others of its queue.
        claim: the job as the store gave it.
        type: what decodes and runs it.
        args: what it is decoded from.
        until: when its lease is over, unless it is extended.
        claimed: when the store had given it.
    """

    setting: Setting
    claim: Claim
    type: Runnable
    args: msgspec.Raw
    until: float
    claimed: float
    began: float = 0.0
    ended: float = 0.0
    outcome: Outcome | None = None
    transaction: Transaction | None = None  # that the job asked for
    answer: Answer | None = None  # the store's to its settlement
    expired: bool = False  # its timeout fired
    cancelled: bool = False  # the worker takes it back
    abandoned: bool = False  # ran on past timeout and grace: its lease is let go
    lost: bool = False  # the store says that the token is not current
    repeated: bool = False  # a call that settles it was sent, and no answer came

    def context(self) -> JobContext[Any]:
        """What the job is told about itself."""
        claim = self.claim
        return JobContext(
            state=self.setting.state,
            id=claim.id,
            queue=self.setting.name,
            name=self.type.name or "",  # which a job that runs has
            attempt=claim.attempt,
            max_attempts=self.type.policy.max_attempts,
            lost=claim.lost,
            fence=claim.fence,
            priority=claim.priority,
            pushed_at=moment(claim.pushed_at),
            started_at=moment(claim.started_at),
            logger=self.setting.logger,
            _transact=partial(self.setting.transact, self, threading.get_ident()),
        )


class Raised:
    """That a run ended by this exception (apart from one that was returned)."""

    __slots__ = ("error",)
    __match_args__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


def call(task: Task) -> Any:
    """Decode a task's job and call it.

    Returns:
        What it returned, perhaps an awaitable, or `Raised`, or an outcome if there was nothing to run.
    """
    task.began = clocks.steady()
    if task.lost or task.began >= task.until:  # its lease is over: who has it now, or next, will run it
        task.cancelled = True
        return Return()
    if task.setting.begun is not None:
        task.setting.begun(task)
    try:
        job = task.type.decode(task.args)
    except Undecodable as error:
        return Fail(State.BROKEN, error.reason)
    except BaseException as error:  # noqa: BLE001 -- a validator of the user's may raise anything
        return Fail(State.BROKEN, _described(error))
    try:
        if task.type.is_async:  # this only makes a coroutine, which runs in its own asyncio task's context
            return task.type.call(job, task.setting.state, task.context)
        return contextvars.copy_context().run(task.type.call, job, task.setting.state, task.context)
    except BaseException as error:  # noqa: BLE001 -- also SystemExit: a job does not end its worker
        return Raised(error)


async def limited(task: Task, answer: Awaitable[Any], length: Seconds) -> Any:
    """Await what a job returned until `length` after the task began, and note whether that came; raises as it does."""
    limit = asyncio.timeout(max(0.0, task.began + seconds(length) - clocks.steady()))
    try:
        async with limit:
            return await answer
    finally:
        task.expired = task.expired or limit.expired()


def conclude(task: Task, ended: Any) -> None:
    """Give a task its outcome: what follows from how its run ended. Raises nothing."""
    task.ended = clocks.steady()
    try:
        task.outcome = _outcome(task, ended)
    except BaseException as error:  # noqa: BLE001 -- of a result that has no sense, or whose methods fail
        task.outcome = Fail(State.FAILED, f"it gave a {type(ended).__name__} that can't be used: {_described(error)}")


def _outcome(task: Task, ended: Any) -> Outcome:
    if task.expired:
        return timed_out(task)
    if task.cancelled and isinstance(ended, Return | Raised):  # what it raised came of being cancelled
        return Return()
    return interpret(ended, task.type.policy, task.claim.attempt, encode=task.setting.keep.succeeded > 0)


def timed_out(task: Task) -> Outcome:
    """The outcome of a run whose timeout fired, whatever it returned then."""
    policy = task.type.policy
    limit = seconds(policy.timeout or 0)
    over = task.ended - task.began - limit
    reason = f"timed out after {limit:g} s" + (f", and ran on for {over:.1f} s" if over > 1 else "")
    return _again(policy, task.claim.attempt, reason, State.TIMED_OUT)


def interpret(ended: Any, policy: Policy, attempt: int, *, encode: bool = True) -> Outcome:
    """What follows from how a run ended: all of a job's policy, in one place.

    Args:
        ended: what the run returned, `Raised`, or an outcome that stands already.
        policy: the policy of the job's type.
        attempt: the run's number, from 1.
        encode: whether a value is wanted.

    Raises:
        InvalidArgument: the delay of a `Retry` is none.
    """
    match ended:
        case None:
            return _SUCCEEDED
        case Success(value):
            return Succeed(_json(value) if encode and value is not None else None)
        case Retry(message, delay):
            return _again(policy, attempt, str(message), State.FAILED, delay)
        case Failure(message):
            return Fail(State.FAILED, str(message))
        case Raised(error) if _behavior(policy, error) is ExceptionBehavior.RETRY:
            return _again(policy, attempt, _described(error), State.FAILED)
        case Raised(error):
            return Fail(State.FAILED, _described(error))
        case Fail():
            return ended
        case type() if ended in _RESULTS:
            name = ended.__name__
            return Fail(State.FAILED, f"the job returned the class {name}: return an instance, as in {name}()")
        case _:
            return Succeed(_json(ended) if encode else None)


def _again(policy: Policy, attempt: int, reason: str, otherwise: State, delay: Seconds | None = None) -> Outcome:
    """A retry while attempts are left, else a failure in the state `otherwise`."""
    wait = policy.backoff(attempt) if delay is None else check_seconds("the delay of a Retry", delay)
    if policy.max_attempts is not None and attempt >= policy.max_attempts:
        return Fail(otherwise, reason)
    return store.Retry(microseconds(min(wait, CENTURY)), reason)


def _behavior(policy: Policy, error: BaseException) -> ExceptionBehavior:
    on_exception = policy.on_exception
    if isinstance(on_exception, ExceptionBehavior):
        return on_exception
    found = (on_exception[kind] for kind in type(error).__mro__ if kind in on_exception)
    return next(found, ExceptionBehavior.FAIL)


def _described(error: BaseException) -> str:
    """`ValueError: what`, then where: the frames below jobcore's own."""
    head = "".join(traceback.format_exception_only(error)).strip()
    frames = list(
        dropwhile(lambda frame: Path(frame.filename).parent == _HERE, traceback.extract_tb(error.__traceback__))
    )
    return "\n".join([head, *(line.rstrip() for line in traceback.format_list(frames[-8:]))])


_HERE: Final = Path(__file__).parent


def _json(value: Any) -> bytes:
    """A value as JSON; one that is none is told by its repr, for the job is done all the same."""
    try:
        return msgspec.json.encode(value)
    except Exception:  # noqa: BLE001 -- whatever the encoder and the value's own methods raise
        return msgspec.json.encode(_repr(value).encode(errors="replace").decode())


def _repr(value: object) -> str:
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 -- the value's own method
        return f"<{type(value).__name__}>"


def microseconds(duration: float) -> int:
    """Seconds as whole microseconds, rounded up; below zero is zero."""
    return max(0, math.ceil(round(duration * 1_000_000, 3)))


def moment(time: int) -> datetime:
    """Microseconds since the epoch as an aware datetime."""
    return datetime.fromtimestamp(time / 1_000_000, UTC)
