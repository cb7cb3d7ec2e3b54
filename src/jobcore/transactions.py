"""Transactional work: what a job writes and that it has succeeded are committed together, or not at all."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from jobcore import clocks
from jobcore.backend import Backend, Conflict, InvalidArgument, Refused, Succeed, Transacts, Unavailable
from jobcore.job import Retry, seconds
from jobcore.run import Raised, Task, conclude, microseconds

if TYPE_CHECKING:
    from jobcore.backend import Transaction

_MARGIN: Final = 1.0
"""Seconds past a job's timeout for which its statements may go on: the timeout is to be told first."""

THREAD_ONLY: Final = (
    "a job that asks for a transaction is a plain def, and asks, works and ends in the thread that runs it: "
    "its connection blocks, and would block all async jobs"
)


def begin(backend: Backend, task: Task, thread: int) -> Any:
    """The connection that a running job may write on; its first call begins the transaction.

    Args:
        backend: where the job is.
        task: the job.
        thread: that of the run.

    Raises:
        InvalidArgument: the backend has no transactions, the job is async or has ended, or this is another thread.
        BackendError: the store did not begin one.
    """
    if not isinstance(backend, Transacts):
        raise InvalidArgument(
            f"{type(backend).__name__} has no transactions for jobs: ctx.transaction() needs one that has, "
            "such as postgresql://"
        )
    if task.type.is_async or threading.get_ident() != thread:
        raise InvalidArgument(THREAD_ONLY)
    if task.ended:
        raise InvalidArgument("the job has ended, and its transaction with it")
    if task.transaction is None:
        task.transaction = backend.transact(task.setting.name, _patience(task))
    return task.transaction.connection


def end(task: Task, transaction: Transaction) -> None:
    """Commit a job's success with all that it wrote, and note the answer: then it is settled. Else undo what it wrote.

    What the store raises counts as raised by the job: it has written nothing. Where that is not known, the settlement
    that follows finds out, as it is one by the same token. A conflict is nobody's error: the job is retried.
    """
    if not isinstance(task.outcome, Succeed):
        transaction.rollback()
        return
    try:
        task.answer = transaction.commit(task.claim.hold, task.outcome, task.setting.keep)
    except Conflict as error:
        conclude(task, Retry(str(error)))
    except Exception as error:  # noqa: BLE001 -- whatever a client library raises, the job has its outcome
        task.repeated = not isinstance(error, Unavailable | Refused)
        conclude(task, Raised(error))


def _patience(task: Task) -> int | None:
    """How many microseconds a statement may take."""
    timeout = task.type.policy.timeout
    return None if timeout is None else microseconds(task.began + seconds(timeout) + _MARGIN - clocks.steady())
