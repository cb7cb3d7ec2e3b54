"""Keeping: what a worker holds stays its own, renewed in batches from a thread of its own."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from jobcore import clocks
from jobcore.backend import Answer, Backend, BackendError, QueueClosed
from jobcore.events import Event, Kind
from jobcore.loops import every

if TYPE_CHECKING:
    from jobcore.mover import Mover
    from jobcore.run import Task
    from jobcore.shift import Lane

_BATCH: Final = 1000
_log: Final = logging.getLogger("jobcore")


class Keeper:
    """Extends the leases of a mover's tasks once a third of a lease has passed.

    Leases are timed on this process's monotonic clock, from before the call that granted them was sent: so a
    lease is over here no later than in the store, and a job that has not begun by then is not begun.
    """

    def __init__(self, mover: Mover, backend: Backend, lease: float) -> None:
        self._mover = mover
        self._backend = backend
        self._lease = lease
        self._stop = threading.Event()

    def start(self) -> None:
        """Keep leases until stopped."""
        run = lambda: every(self._lease / 12, self.step, self._stop)  # noqa: E731
        threading.Thread(target=run, name="jobcore-leases", daemon=True).start()

    def stop(self) -> None:
        """Let the leases run out."""
        self._stop.set()

    def step(self) -> None:
        """Extend what is due, in one call for each queue (of up to 1,000)."""
        now = clocks.steady()
        for lane in self._mover.lanes:
            tasks = [task for task in list(lane.held) if not (task.abandoned or task.lost)]
            due = [task for task in tasks if task.until - now <= self._lease * 2 / 3]
            for start in range(0, len(due), _BATCH):
                self._extend(lane, due[start : start + _BATCH])

    def _extend(self, lane: Lane, tasks: list[Task]) -> None:
        sent = clocks.steady()
        try:
            holds = [task.claim.hold for task in tasks]
            answers = self._backend.extend(lane.name, holds, round(self._lease * 1_000_000))
        except QueueClosed:
            self._stop.set()
        except Exception as error:  # noqa: BLE001 -- whatever a client library raises, the next round tries again
            if not isinstance(error, BackendError):
                _log.error("an unforeseen error of the backend", exc_info=error)
        else:
            self._note(lane, dict(zip(tasks, answers, strict=False)), sent)

    def _note(self, lane: Lane, answers: dict[Task, Answer], sent: float) -> None:
        """What the store said of each; of one that has ended its settlement will tell. BUSY is asked again."""
        lost = [task for task, answer in answers.items() if answer is Answer.LOST and not task.ended]
        for task, answer in answers.items():
            if answer is Answer.HELD:
                task.until = sent + self._lease
        for task in lost:
            task.lost = True
        events = [
            Event(Kind.LOST, lane.name, claim.id, task.type.name, clocks.wall(), claim.attempt, claim.lost)
            for task, claim in ((task, task.claim) for task in lost)
        ]
        self._mover.tell(events)
