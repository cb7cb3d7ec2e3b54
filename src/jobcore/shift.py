"""What a worker's parts share: its queues, the jobs that it holds, and whether it stops."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from jobcore import clocks
from jobcore.events import Teller
from jobcore.transactions import begin

if TYPE_CHECKING:
    from collections import deque

    from jobcore.binding import Binding
    from jobcore.hands import Hands
    from jobcore.mover import Mover
    from jobcore.queue import Queue
    from jobcore.recovery import Recovery
    from jobcore.run import Task

SETTLE_SECONDS: Final = 0.003
"""How long a finished job waits for company, unless told otherwise."""

LAST_SECONDS: Final = 2.0
"""How long a worker that leaves waits for the async jobs that it cancelled."""


class Lane:
    """One queue within a worker: what its tasks have in common, and those that are held."""

    def __init__(self, queue: Queue[Any], binding: Binding, limit: int | None) -> None:
        self.name = queue.name
        self.keep = queue.keep
        self.logger = queue.logger
        self.registry = queue.registry
        self.binding = binding
        self.state = binding.state
        self.limit = limit
        self.mover: Mover | None = None
        self.begun: Callable[[Task], None] | None = None
        self.routine = False  # somebody wants to hear of each job, not only of troubles
        self.held: set[Task] = set()
        self.look_at = 0.0  # when to claim next
        self.woken = False  # or at once: set by other threads, so that a claim under way does not undo it
        self.quiet = False  # the last claim gave nothing
        self.wary = False  # the last jobs were lost before: what is held together with the next may be lost with it
        self.call: bytes | None = None  # of a claim that is under way, or that no answer came to

    @property
    def empty(self) -> bool:
        """Whether a claim gave nothing, nothing is held, and nothing has happened since.

        Read in the reverse of the order in which settling and claiming change it, as both may be under way.
        """
        return not (self.held or self.woken or self.call) and self.quiet

    def is_due(self, now: float) -> bool:
        """Whether to claim."""
        return self.woken or self.look_at <= now

    def transact(self, task: Task, thread: int) -> Any:
        """The connection of a task's transaction."""
        return begin(self.binding.backend, task, thread)

    def finished(self, task: Task) -> None:
        """A task has its outcome."""
        if self.mover is not None:
            self.mover.finished(task)


class Shift:
    """What the movers of one worker have in common.

    Args:
        holder: under which the store knows what is held.
        lease: seconds.
        poll_interval: seconds between looks at a queue that nothing was heard of.
        grace: seconds that a stopping worker waits for what runs.
        prefetch: how many jobs are held for each hand at the most; None: as many as should start soon.
        settle_every: seconds that a finished job waits for company.
    """

    hands: Hands

    def __init__(
        self,
        *,
        holder: str,
        lease: float,
        poll_interval: float,
        grace: float,
        prefetch: int | None = None,
        settle_every: float = SETTLE_SECONDS,
    ) -> None:
        self.holder = holder
        self.lease = lease
        self.poll_interval = poll_interval
        self.grace = grace
        self.prefetch = prefetch
        self.settle_every = settle_every
        self.teller = Teller(())
        self.movers: list[Mover] = []
        self.recoveries: Sequence[Recovery] = ()
        self.until_empty = False
        self._emptied = False
        self._alone: Task | None = None
        self._choosing = threading.Lock()
        self._stop_by: float | None = None

    def begin(self, movers: list[Mover], teller: Teller) -> None:
        """Start anew with these movers."""
        self.movers, self.teller = movers, teller
        self._emptied, self._alone = False, None

    def look_after(self, recoveries: Sequence[Recovery]) -> None:
        """Have a monitor's work done beside; not while a job runs alone, with which all that is held may be lost."""
        self.recoveries = recoveries
        for recovery in recoveries:
            recovery.teller = self.teller
            recovery.hushed = lambda: self.alone

    # -- stopping

    @property
    def stopping(self) -> bool:
        """Whether no more is to be claimed."""
        return self._stop_by is not None

    @property
    def leaving(self) -> bool:
        """Whether what runs is waited for no longer."""
        return self._stop_by is not None and clocks.steady() >= self._stop_by

    @property
    def left(self) -> bool:
        """Whether the last wait, for what was cancelled, is over too."""
        return self._stop_by is not None and clocks.steady() >= self._stop_by + LAST_SECONDS

    def stop(self, *, now: bool = False) -> None:
        """Stop claiming, give back what has not begun, and wait for the rest: up to `grace`, or not (`now`)."""
        by = clocks.steady() + (0 if now else self.grace)
        self._stop_by = by if self._stop_by is None else min(self._stop_by, by)
        for mover in self.movers:
            mover.bell.ring()

    # -- what is held

    @property
    def outstanding(self) -> int:
        """How many tasks are held and have not ended."""
        return sum(mover.outstanding for mover in self.movers)

    @property
    def exhausted(self) -> bool:
        """Whether half of the hands are gone to jobs that won't stop."""
        return 2 * self.hands.timeouts.stuck >= self.hands.count

    # -- until all queues are empty

    @property
    def emptied(self) -> bool:
        """Whether a claim of each queue gave nothing while nothing ran here; once true, it stays so."""
        self._emptied = self._emptied or all(lane.empty for mover in self.movers for lane in mover.lanes)
        return self._emptied

    def disturb(self, by: Mover) -> None:
        """A mover has settled something, so that no queue is known to be empty."""
        for mover in self.movers:
            for lane in mover.lanes:
                lane.woken = True
            if mover is not by:
                mover.bell.ring()

    # -- running a job alone

    @property
    def alone(self) -> bool:
        """Whether a job runs alone, or is about to: then nothing else begins."""
        return self._alone is not None and not self._alone.abandoned

    @property
    def lonely(self) -> bool:
        """Whether some job is to run alone: then nothing else is claimed."""
        return self.alone or any(mover.lonely for mover in self.movers)

    def enlist(self, task: Task, lonely: deque[Task]) -> bool:
        """Have a task wait to run alone, unless another one does: if that kills us, this one must not be held."""
        with self._choosing:
            if self.lonely:
                return False
            lonely.append(task)
        return True

    def isolate(self, task: Task, by: Mover) -> bool:
        """Whether a mover's task, which waits to run alone, may begin: all else that was held is settled.

        What other stores hold that are away is not waited for, nor what is refused: that may be for ever.
        Who claims or takes over meanwhile says so first and looks at `alone` then, so that one of both sees the other.
        """
        with self._choosing:
            if self.alone:
                return False
            self._alone = task
        movers = [mover for mover in self.movers if mover is by or not mover.away]
        monitors = [each for each in self.recoveries if each.backend is by.backend or not each.away]
        if sum(mover.awaited for mover in movers) > 1 or _may_hold_more(movers, monitors):
            self._alone = None
        return self._alone is task

    def isolated(self, task: Task) -> bool:
        """Whether a task is the one that runs alone, or is about to."""
        return task is self._alone

    def release(self, ended: Iterable[Task]) -> None:
        """Go on, if the job that ran alone is among these: settled, or refused, and at its end in any case."""
        if self._alone is not None and self._alone in ended:
            self._alone = None


def _may_hold_more(movers: Sequence[Mover], monitors: Sequence[Recovery]) -> bool:
    """Whether calls are under way, or in doubt, that may have taken something, or a monitor holds what it took."""
    claims = any(lane.call for mover in movers for lane in mover.lanes)
    return claims or any(recovery.holds for recovery in monitors)
