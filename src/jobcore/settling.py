"""Settling: what has finished goes to the store in groups, one call for each queue."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from math import exp, inf
from typing import TYPE_CHECKING, Final

from jobcore import clocks
from jobcore.backend import Answer, Backend, Fail, Hold, Outcome, Refused, Retry, Return, State, Succeed, Unavailable
from jobcore.events import Event, Kind

if TYPE_CHECKING:
    from jobcore.outage import Outage
    from jobcore.run import Task
    from jobcore.shift import Lane, Shift

SETTLE_JOBS: Final = 1024
"""A batch is so large at the most: all that a worker holds, if it has no more hands than usual."""

_PACE_SECONDS: Final = 0.01
"""Within about so much of running the pace follows a change."""


class Settler:
    """Settles a mover's tasks. Those that can't be settled now are kept, and tried again.

    Args:
        shift: what it shares with the rest of the worker.
        backend: where the jobs are.
        outage: told of each call that is answered.
        settled: called with the lane and the tasks of each batch that the store has answered.
    """

    def __init__(
        self, shift: Shift, backend: Backend, outage: Outage, settled: Callable[[Lane, list[Task]], None]
    ) -> None:
        self.finished: deque[Task] = deque()  # hands append to it
        self.pace = 0.0  # tasks that hands finish in a second, while they have some
        self._shift = shift
        self._backend = backend
        self._outage = outage
        self._settled = settled
        self._unsettled: list[Task] = []
        self._refused: list[Task] = []  # tried again apart, and few at a time: perhaps one job alone is refused
        self._refusals = outage.beside()
        self._few = SETTLE_JOBS
        self._ran_until = 0.0  # when the last task ended of those that the pace was taken from

    def __len__(self) -> int:
        """How many tasks have their outcome and are not settled."""
        return len(self.finished) + len(self._unsettled) + len(self._refused)

    @property
    def refused(self) -> Sequence[Task]:
        """Those that the store has refused, and perhaps always will."""
        return self._refused

    @property
    def retry_at(self) -> float:
        """When to try again what was refused, by `clocks.steady`."""
        return self._refusals.retry_at if self._refused else inf

    def is_due(self, *, alone: bool) -> bool:
        """Whether enough has finished, or has waited long enough; `alone`: nothing else can finish soon."""
        if self._unsettled or clocks.steady() >= self.retry_at:
            return True
        if not self.finished:
            return False
        ripe = alone or self._shift.stopping or len(self.finished) >= SETTLE_JOBS
        return ripe or clocks.steady() - self.finished[0].ended >= self._shift.settle_every

    def settle(self, lanes: Iterable[Lane]) -> None:
        """Settle up to `SETTLE_JOBS`, and some of what was refused before, if it is time for that.

        Raises:
            BackendError: the store did not answer as it should; what it did not take is kept. `Refused`, which may
                concern one queue or one job alone, is raised once all others have had their turn.
        """
        before = len(self._unsettled)
        while self.finished and len(self._unsettled) < SETTLE_JOBS:
            self._unsettled.append(self.finished.popleft())
        self._measure(self._unsettled[before:])
        refusal = self._settle_each(lanes, self._unsettled)
        if clocks.steady() >= self.retry_at:
            again = self._settle_each(lanes, self._refused[: self._few])
            if again is None:
                self._few *= 2
                self._refusals.worked()
            refusal = refusal or again
        if refusal is not None:
            raise refusal

    def _settle_each(self, lanes: Iterable[Lane], tasks: list[Task]) -> Refused | None:
        """Settle tasks queue by queue; what is refused goes behind all that was refused before."""
        refusal = None
        for lane in lanes:
            batch = [task for task in tasks if task.setting is lane]
            try:
                self._settle(lane, batch)
            except Refused as error:
                refusal = error
                self._forget(batch)
                self._refused += batch
                self._shift.release(batch)
                self._few = max(1, len(batch) // 4)
                self._refusals.failed(error)
        return refusal

    def _forget(self, batch: list[Task]) -> None:
        gone = set(batch)
        self._unsettled = [task for task in self._unsettled if task not in gone]
        self._refused = [task for task in self._refused if task not in gone]

    def _settle(self, lane: Lane, batch: list[Task]) -> None:
        if not batch:
            return
        self._ask(lane, [task for task in batch if task.answer is None])
        self._forget(batch)
        self._settled(lane, batch)
        self._tell(lane, batch)

    def _ask(self, lane: Lane, batch: list[Task]) -> None:
        """Have the store settle those that their own transactions have not."""
        if not batch:
            return
        settlements: list[tuple[Hold, Outcome]] = [
            (task.claim.hold, task.outcome) for task in batch if task.outcome is not None
        ]
        try:
            answers = self._backend.settle(lane.name, settlements, lane.keep)
        except (Unavailable, Refused):
            raise  # not carried out
        except Exception:
            for task in batch:
                task.repeated = True
            raise
        self._outage.worked()
        for task, answer in zip(batch, answers, strict=True):
            task.answer = answer

    def _tell(self, lane: Lane, batch: list[Task]) -> None:
        if self._shift.teller:
            at = clocks.wall()
            worth = (task for task in batch if lane.routine or not _is_plain(task))
            told = (settled_event(lane.name, task, at) for task in worth)
            self._shift.teller.tell([event for event in told if event is not None])

    def _measure(self, tasks: Iterable[Task]) -> None:
        """Learn how fast hands are while they have jobs: the store's own time says nothing of that."""
        ran = [task for task in tasks if not isinstance(task.outcome, Return)]
        if ran:
            passed = max(ran[-1].ended - max(self._ran_until, ran[0].claimed), 1e-6)
            self.pace += (len(ran) / passed - self.pace) * (1 - exp(-passed / _PACE_SECONDS))
            self._ran_until = ran[-1].ended


def give_back(task: Task) -> None:
    """Have a task that has not begun returned to its queue."""
    task.outcome = Return()
    task.began = task.ended = clocks.steady()
    task.setting.finished(task)


def _is_plain(task: Task) -> bool:
    """Whether a task has simply succeeded."""
    return task.answer is Answer.DONE and isinstance(task.outcome, Succeed)


_KINDS: Final[dict[State, Kind]] = {
    State.FAILED: Kind.FAILED,
    State.TIMED_OUT: Kind.TIMED_OUT,
    State.BROKEN: Kind.BROKEN,
}


def settled_event(queue: str, task: Task, at: float) -> Event | None:
    """The event that the answer to a task's settlement amounts to; None where it was told before."""
    claim, outcome, answer, reason = task.claim, task.outcome, task.answer, ""
    match outcome:
        case _ if answer is Answer.LOST and task.lost:
            return None
        case _ if answer is Answer.LOST:
            kind = Kind.UNPROVEN if task.repeated else Kind.REFUSED
            reason = "its token was no longer current"
        case Return():
            kind = Kind.RETURNED
        case Retry():
            kind, reason = Kind.RETRIED, outcome.reason
        case Fail():
            kind, reason = _KINDS[outcome.state], outcome.reason
        case _:
            kind = Kind.SUCCEEDED
    took = None if kind is Kind.RETURNED else task.ended - task.began
    return Event(kind, queue, claim.id, task.type.name, at, claim.attempt, claim.lost, took, reason)


def started_event(task: Task) -> Event:
    """The event that a task has begun."""
    claim, queue, name = task.claim, task.setting.name, task.type.name
    at = clocks.wall() - (clocks.steady() - task.began)
    return Event(Kind.STARTED, queue, claim.id, name, at, claim.attempt, claim.lost)
