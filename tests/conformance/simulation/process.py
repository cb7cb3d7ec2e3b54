"""One worker's process on the stage: the loops as they are, with a bell, hands and timeouts that take turns."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from math import inf
from typing import Any, Final

from jobcore.aside import Aside, Work
from jobcore.backend import Backend
from jobcore.binding import Binding
from jobcore.conformance.simulation.ledger import GRACE_SECONDS, Ledger
from jobcore.conformance.simulation.stage import Actor, Life, Stage
from jobcore.events import Event, Teller
from jobcore.hands import Hands
from jobcore.job import JobTimeout, Seconds, seconds
from jobcore.leases import Keeper
from jobcore.loops import every
from jobcore.monitor import watch
from jobcore.mover import Mover
from jobcore.queue import Queue
from jobcore.recovery import Recovery
from jobcore.run import Task, call
from jobcore.shift import Lane, Shift
from jobcore.timeouts import Timeouts
from jobcore.waiting import Bell

HANDS: Final = 3
POLL_SECONDS: Final = 1.0


class Process(Life):
    """A worker with its monitor, in a process of its own.

    Args:
        stage: where it runs.
        name: also the holder of what it claims.
        origin: what its clock begins at.
        queues: what it runs.
        lease: seconds.
        apart: whether each queue has a mover of its own, as where they are in different stores.
        ledger: told of its events and of its end.
    """

    def __init__(
        self,
        stage: Stage,
        name: str,
        origin: float,
        *,
        queues: Sequence[Queue[Any]],
        lease: float,
        apart: bool,
        ledger: Ledger,
    ) -> None:
        super().__init__(name, origin)
        self._stage = stage
        self._queues = queues
        self._lease = lease
        self._apart = apart
        self._ledger = ledger
        self._teller = _Told(lambda events: ledger.hear(self, events))
        self._shift = Shift(holder=name, lease=lease, poll_interval=POLL_SECONDS, grace=GRACE_SECONDS)
        self._hands = TurnHands(stage, HANDS)
        self._shift.hands = self._hands
        self._ended = _Stop(stage)

    def start(self, backend: Backend) -> None:
        """Begin to work, with this client of the store."""
        self._backend = backend
        self._stage.start(self, self._live)

    def work(self, duration: float) -> None:
        """What a job does that takes its time, unless its own is over before: then `JobTimeout` is raised."""
        self._hands.watched.work(duration)

    def stop(self) -> None:
        """As SIGTERM does."""
        self._stage.start(self, self._shift.stop)

    def _live(self) -> None:
        lanes = [Lane(queue, Binding(self._backend), None) for queue in self._queues]
        movers = [self._mover(its) for its in ([[lane] for lane in lanes] if self._apart else [lanes])]
        self._shift.begin(movers, self._teller)
        recoveries = recoveries_of(self, self._queues, self._backend, self._lease)
        self._shift.look_after(recoveries)
        self._stage.start(self, lambda: watch(recoveries, self._lease / 10, self._ended))
        for _ in range(HANDS):
            self._stage.start(self, self._hands.serve)
        over: list[Mover] = []
        for mover in movers:
            self._stage.start(self, partial(self._move, mover, over))
        self._stage.wait(inf, lambda: len(over) == len(movers))
        self._ledger.leave(self)
        self.dead = True

    def _mover(self, lanes: list[Lane]) -> Mover:
        mover = Mover(self._shift, self._backend, lanes)
        mover.bell = TurnBell(self._stage)
        mover.aside = TurnAside(self._stage, self)
        keeper = Keeper(mover, self._backend, self._lease)
        self._stage.start(self, lambda: every(self._lease / 12, keeper.step, self._ended))
        return mover

    def _move(self, mover: Mover, over: list[Mover]) -> None:
        mover.run()
        over.append(mover)


def recoveries_of(life: Life, queues: Iterable[Queue[Any]], backend: Backend, lease: float) -> list[Recovery]:
    """What a monitor does in a process, for each queue."""
    options: dict[str, Any] = {"holder": str(life), "lease": lease, "abandon_after": inf, "heal": True}
    return [Recovery(queue, Binding(backend), **options) for queue in queues]


class TurnBell(Bell):
    """A bell whose sleepers wait on the stage."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self._stage = stage
        self._is_rung = False

    def ring(self) -> None:
        """End the sleep under way, or the next one."""
        self._is_rung = True

    def sleep(self, seconds: float) -> None:
        """Sleep until rung, or for so long."""
        self._stage.wait(max(0.0, seconds), lambda: self._is_rung)
        self._is_rung = False


class TurnAside(Aside):
    """Both are actors."""

    def __init__(self, stage: Stage, life: Life) -> None:
        super().__init__()
        self._stage = stage
        self._life = life

    def both(self, other: Work, own: Work) -> None:
        """Do both, and return when both have ended."""
        ended: list[Exception | None] = []

        def act() -> None:
            try:
                other()
            except Exception as error:  # noqa: BLE001 -- it is raised to who asked
                ended.append(error)
            else:
                ended.append(None)

        self._stage.start(self._life, act)
        try:
            own()
        finally:
            self._stage.wait(inf, lambda: bool(ended))
        if ended[0] is not None:
            raise ended[0]


class TurnHands(Hands):
    """Hands whose threads are actors."""

    def __init__(self, stage: Stage, count: int) -> None:
        super().__init__(count, lambda _task: None, GRACE_SECONDS)
        self.watched = self.timeouts = TurnTimeouts(stage)
        self._stage = stage

    def serve(self) -> None:
        """The life of one hand."""
        while True:
            self._stage.wait(inf, lambda: bool(self._sync and self._free))
            self._take()

    def _wake(self, number: int) -> None:
        """They see by themselves what waits."""


class TurnTimeouts(Timeouts):
    """Timeouts of jobs that take their time by `work`."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(GRACE_SECONDS, lambda _task: None)
        self._stage = stage
        self._due: dict[Actor, tuple[Task, float]] = {}

    def call(self, task: Task, timeout: Seconds) -> Any:
        """`run.call`, with `JobTimeout` raised once `timeout` is over."""
        self._due[self._stage.acting] = task, self._stage.now + seconds(timeout)
        return call(task)

    def work(self, duration: float) -> None:
        """Take so long, or until the timeout."""
        task, due = self._due[self._stage.acting]
        left = due - self._stage.now
        self._stage.wait(min(duration, left))
        if duration >= left:
            task.expired = True
            raise JobTimeout


class _Stop(threading.Event):
    """What loops are stopped by, and pause on."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self._stage = stage

    def wait(self, timeout: float | None = None) -> bool:
        """Wait on the stage until set, or for so long."""
        self._stage.wait(inf if timeout is None else timeout, self.is_set)
        return self.is_set()


class _Told(Teller):
    """Tells at once, on the thread that tells."""

    def __init__(self, heard: Callable[[Sequence[Event]], None]) -> None:
        super().__init__((heard,))

    def tell(self, events: Sequence[Event]) -> None:
        """Pass a batch on."""
        self._hand(events)
