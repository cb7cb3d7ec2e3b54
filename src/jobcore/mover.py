"""Moving: claims what free hands can start soon, settles what they finished, in as few calls as it can.

One mover serves the queues of one backend. Only its own thread touches its state, but for two
deques that hands append to; `turn` is one round of its loop.
"""

from __future__ import annotations

import logging
import os
import random
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from math import exp, inf
from queue import Empty, SimpleQueue
from time import perf_counter, time
from typing import TYPE_CHECKING, Any, Final

from jobcore.backend import Answer, Backend, BackendError, Fail, Hold, Outcome, QueueClosed, Retry, Return, State, Wakes
from jobcore.codec import Undecodable
from jobcore.events import Event, Kind, Teller
from jobcore.run import NOTHING, Runnable, Task, Unopened

if TYPE_CHECKING:
    from jobcore.backend import Claim
    from jobcore.hands import Hands
    from jobcore.binding import Binding
    from jobcore.queue import Queue

PREFETCH_SECONDS: Final = 0.05
"""Beyond its free hands a worker claims what it expects to run within this time."""

PREFETCH_JOBS: Final = 1000
PREFETCH_BYTES: Final = 8 * 2**20
"""What a worker claims ahead at the most."""

STALE_SECONDS: Final = 0.1
"""What no hand has taken for so long goes back to the queue."""

SETTLE_SECONDS: Final = 0.003
SETTLE_JOBS: Final = 1000
"""A finished job waits so long for company, and a batch is so large at the most."""

NAP_SECONDS: Final = 0.002
LAST_SECONDS: Final = 2.0
"""How long a worker that leaves waits for the async jobs that it cancelled."""

ALONE_AFTER: Final = 2
"""A job that was lost so often is run alone."""

_log: Final = logging.getLogger("jobcore")


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
        self.held: dict[str, Task] = {}
        self.look_at = 0.0  # when to claim next, unless woken
        self.quiet = False  # the last claim gave nothing, and nothing has been settled since
        self.call: bytes | None = None  # of a claim that no answer came to

    def finished(self, task: Task) -> None:
        """A task has its outcome."""
        if self.mover is not None:
            self.mover.finished(task)

    def hold(self, tasks: Iterable[Task]) -> None:
        """Remember tasks whose leases are to be kept."""
        self.held.update((task.claim.id, task) for task in tasks)

    def drop(self, task: Task) -> None:
        """Forget a task, unless its job has been claimed anew since."""
        if self.held.get(task.claim.id) is task:
            del self.held[task.claim.id]


class Shift:
    """What the movers of one worker have in common."""

    def __init__(self, *, hands: Hands, holder: str, lease: float, poll_interval: float, grace: float) -> None:
        self.hands = hands
        self.holder = holder
        self.lease = lease
        self.poll_interval = poll_interval
        self.grace = grace
        self.teller = Teller(())
        self.movers: list[Mover] = []
        self.until_empty = False
        self.alone = threading.Lock()  # held by the mover whose job runs alone
        self._stop_by: float | None = None

    @property
    def stopping(self) -> bool:
        """Whether no more is to be claimed."""
        return self._stop_by is not None

    @property
    def leaving(self) -> bool:
        """Whether what runs is waited for no longer."""
        return self._stop_by is not None and perf_counter() >= self._stop_by

    @property
    def left(self) -> bool:
        """Whether the last wait, for what was cancelled, is over too."""
        return self._stop_by is not None and perf_counter() >= self._stop_by + LAST_SECONDS

    @property
    def lonely(self) -> bool:
        """Whether some job is to run alone: then nothing else is claimed."""
        return any(mover.lonely for mover in self.movers) or self.alone.locked()

    @property
    def exhausted(self) -> bool:
        """Whether half of the hands are gone to jobs that won't stop."""
        return 2 * self.hands.timeouts.stuck >= self.hands.count

    @property
    def outstanding(self) -> int:
        """How many tasks are held and have not ended."""
        return sum(mover.outstanding for mover in self.movers)

    def stop(self, *, now: bool = False) -> None:
        """Stop claiming, give back what has not begun, and wait for the rest: up to `grace`, or not (`now`)."""
        by = perf_counter() + (0 if now else self.grace)
        self._stop_by = by if self._stop_by is None else min(self._stop_by, by)
        for mover in self.movers:
            mover.ring()

    def disturb(self) -> None:
        """Something was settled, so that no queue is known to be empty."""
        for mover in self.movers:
            for lane in mover.lanes:
                lane.quiet, lane.look_at = False, 0.0

    @property
    def empty(self) -> bool:
        """Whether a claim of each queue gave nothing, and nothing runs."""
        return all(lane.quiet and not lane.held for mover in self.movers for lane in mover.lanes)


class Mover:
    """Moves the jobs of some queues on one backend.

    Args:
        shift: what it shares with the worker's other movers.
        backend: where the jobs are.
        lanes: the queues.
    """

    def __init__(self, shift: Shift, backend: Backend, lanes: list[Lane]) -> None:
        self.shift = shift
        self.backend = backend
        self.lanes = lanes
        self.lonely: deque[Task] = deque()
        self.waiter = Waiter(self, backend) if isinstance(backend, Wakes) else None
        self._lease = round(shift.lease * 1_000_000)
        self._finished: deque[Task] = deque()
        self._unsettled: list[Task] = []
        self._alone: Task | None = None
        self._begun: deque[Task] = deque()
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._mark: float = inf  # ring when so many have finished
        self._bytes = 0
        self._pace = 0.0  # tasks finished a second, over the last tenth of one
        self._paced_at = perf_counter()
        self._failures = 0
        self._retry_at = 0.0
        self._cancelled = False
        for lane in lanes:
            lane.mover = self

    # -- what other threads call

    def begun(self, task: Task) -> None:
        """A hand has taken this task."""
        self._begun.append(task)

    def finished(self, task: Task) -> None:
        """A task has its outcome."""
        self._finished.append(task)
        if len(self._finished) >= self._mark:
            self.ring()

    def ring(self) -> None:
        """Have the mover look up; also from signal handlers."""
        self._mark = inf
        self._bell.put(None)

    def wake(self, queues: Iterable[str]) -> None:
        """Jobs may be ready in these queues."""
        for lane in self.lanes:
            if lane.name in queues:
                lane.look_at = 0.0
        self.ring()

    # -- the loop

    def run(self) -> None:
        """Move jobs until the worker is stopped (or, with `until_empty`, has nothing left)."""
        if self.waiter is not None and not self.shift.until_empty:
            self.waiter.start()
        try:
            while not self.over:
                self.turn()
        finally:
            if self.waiter is not None:
                self.waiter.stop()
            self._tell_begun()

    @property
    def over(self) -> bool:
        """Whether there is nothing left to do."""
        shift = self.shift
        if shift.stopping:
            return shift.left or not any(lane.held for lane in self.lanes)
        return shift.until_empty and shift.empty

    def turn(self) -> None:
        """One round: give back, settle, claim, rest. A store that is away is waited for."""
        self._give_back()
        try:
            if perf_counter() >= self._retry_at:
                self.settle()
                self._run_lonely()
                self.claim()
        except QueueClosed:
            self.shift.stop(now=True)
        except Exception as error:  # noqa: BLE001 -- whatever a client library raises, jobs are not dropped for it
            self._fail(error)
        self.rest()

    @property
    def outstanding(self) -> int:
        """How many tasks are held here and have not ended."""
        return sum(len(lane.held) for lane in self.lanes) - len(self._finished) - len(self._unsettled)

    def claim(self) -> int:
        """Claim from each queue in turn, as much as hands can start soon; returns how many jobs were given."""
        given, now = 0, perf_counter()
        self.lanes.append(self.lanes.pop(0))  # another queue comes first each time
        for lane in list(self.lanes):
            room = self._room_of(lane)
            if room > 0 and lane.look_at <= now:
                given += self.claim_from(lane, room)
        return given

    def claim_from(self, lane: Lane, limit: int) -> int:
        """One claim from one queue; its jobs go to the hands. Returns how many there were."""
        sent = perf_counter()
        lane.call = lane.call or os.urandom(16)  # a claim that no answer came to is repeated, not made anew
        spare = max(0, PREFETCH_BYTES - self._bytes)
        claimed = self.backend.claim(lane.name, limit, self._lease, self.shift.holder, lane.call, spare)
        lane.call = None
        self._succeed()
        lane.quiet = not claimed.claims
        ahead = inf if claimed.next_due is None else (claimed.next_due - claimed.now) / 1_000_000
        poll = self.shift.poll_interval * random.uniform(0.9, 1.1)  # noqa: S311 -- spreads polls, hides nothing
        lane.look_at = sent + min(ahead, poll)
        self._take(lane, claimed.claims, sent)
        return len(claimed.claims)

    def settle(self, *, at_once: bool = False) -> None:
        """Settle what has finished, if enough has, or has waited long enough."""
        if not (at_once or self._settling_is_due()):
            return
        finished, unsettled = self._finished, self._unsettled
        before = len(unsettled)
        while finished and len(unsettled) < SETTLE_JOBS:
            unsettled.append(finished.popleft())
        self._measure(len(unsettled) - before)
        for lane in self.lanes:
            batch = [task for task in unsettled if task.setting is lane]
            if batch:
                self._settle_batch(lane, batch)

    def finish(self) -> None:
        """Wait until all that is held has ended, and settle it."""
        while any(lane.held for lane in self.lanes):
            self.shift.hands.nudge()
            self._sleep(NAP_SECONDS, max(1, self.outstanding))
            self._run_lonely()
            self.settle(at_once=not self.outstanding)
        self._tell_begun()

    def rest(self) -> None:
        """Sleep until there is something to do; as long as it takes, or a moment if more is expected soon."""
        shift, now = self.shift, perf_counter()
        if self._retry_at > now:
            self._sleep(self._retry_at - now, inf)
        elif self._finished or shift.hands.waiting:
            shift.hands.nudge()
            if not self._settling_is_due():
                self._sleep(NAP_SECONDS, max(1, self.outstanding // 2))
        elif not self.over:
            until = min((lane.look_at for lane in self.lanes if self._room_of(lane) > 0), default=inf)
            if now < until < inf and self.waiter is not None:
                self.waiter.want()
            if shift.stopping or self.lonely or shift.until_empty:  # other movers' news does not ring here
                until = min(until, now + 0.05)
            self._sleep(min(until - now, shift.poll_interval), 1)

    def _sleep(self, seconds: float, mark: float) -> None:
        """Sleep until rung, for up to `seconds`, or until `mark` tasks have finished."""
        if seconds <= 0:
            return
        self._mark = mark
        if len(self._finished) < mark:
            with suppress(Empty):
                self._bell.get(timeout=seconds)
        self._mark = inf
        while not self._bell.empty():
            self._bell.get()

    def _room_of(self, lane: Lane) -> int:
        """How many jobs to claim from a queue now: for free hands, and ahead of them what should start soon."""
        shift = self.shift
        if shift.stopping or shift.lonely or shift.exhausted or self._bytes >= PREFETCH_BYTES:
            return 0
        ahead = min(PREFETCH_JOBS, int(self._pace * PREFETCH_SECONDS))
        room = shift.hands.count + ahead - shift.outstanding
        if room < max(1, ahead // 2):  # few large claims, not many small ones
            return 0
        return room if lane.limit is None else min(room, lane.limit - len(lane.held))

    def _take(self, lane: Lane, claims: list[Claim], sent: float) -> None:
        """Open the claims' envelopes and pass them to the hands."""
        tasks = []
        for claim in claims:
            self._bytes += len(claim.payload)
            type: Runnable
            try:
                type, args = lane.registry.open(claim.payload)
            except Undecodable as error:
                type, args = Unopened(error), NOTHING
            tasks.append(Task(lane, claim, type, args, sent))
        lane.hold(tasks)
        self.lonely.extend(task for task in tasks if task.claim.lost >= ALONE_AFTER)
        self.shift.hands.give([task for task in tasks if task.claim.lost < ALONE_AFTER] if self.lonely else tasks)

    def _settling_is_due(self) -> bool:
        finished = self._finished
        return bool(self._unsettled) or bool(finished) and (
            len(finished) >= SETTLE_JOBS
            or self.outstanding == 0
            or self.shift.stopping
            or perf_counter() - finished[0].ended >= SETTLE_SECONDS
        )

    def _settle_batch(self, lane: Lane, batch: list[Task]) -> None:
        settlements: list[tuple[Hold, Outcome]] = [
            (task.claim.hold, task.outcome) for task in batch if task.outcome is not None
        ]
        try:
            answers = self.backend.settle(lane.name, settlements, lane.keep)
        except BaseException:
            for task in batch:
                task.repeated = True
            raise
        self._succeed()
        self._unsettled = [task for task in self._unsettled if task.setting is not lane]
        for task in batch:
            lane.drop(task)
            self._bytes -= len(task.claim.payload)
        if self._alone in batch:
            self._alone = None
            self.shift.alone.release()
        if self.shift.until_empty:
            self.shift.disturb()
        self._tell(lane, batch, answers)

    def _give_back(self) -> None:
        """Return what waits for a hand in vain: behind long jobs, or as the worker stops, or before a lonely job."""
        shift, now = self.shift, perf_counter()
        all_of_it = shift.stopping or shift.lonely
        if shift.leaving and not self._cancelled:
            self._cancelled = True
            shift.hands.cancel()
        if not all_of_it and not (shift.hands.waiting and shift.hands.free == 0):
            return
        kept = []
        for task in shift.hands.withdraw():
            if all_of_it or now - task.claimed > STALE_SECONDS:
                give_back(task)
                self._pace = 0.0
            else:
                kept.append(task)
        shift.hands.give(kept)
        if shift.stopping:
            while self.lonely:
                give_back(self.lonely.popleft())

    def _run_lonely(self) -> None:
        """Start a job that was lost before, once nothing else runs."""
        shift = self.shift
        waiting = sum(len(mover.lonely) for mover in shift.movers)
        if self.lonely and shift.outstanding == waiting and shift.alone.acquire(blocking=False):
            self._alone = self.lonely.popleft()
            shift.hands.give([self._alone])

    def _measure(self, number: int) -> None:
        now = perf_counter()
        passed = max(now - self._paced_at, 1e-6)
        self._pace += (number / passed - self._pace) * (1 - exp(-passed / 0.1))
        self._paced_at = now

    def _fail(self, error: Exception) -> None:
        """The store is away: wait, longer each time, and say so."""
        self._failures += 1
        wait = min(5.0, 0.1 * 2 ** min(self._failures, 10)) * random.uniform(0.5, 1)  # noqa: S311 -- spreads retries
        self._retry_at = perf_counter() + wait
        if not isinstance(error, BackendError):
            _log.error("an unforeseen error of the backend", exc_info=error)
        reason = f"{type(error).__name__}: {error}"
        self.shift.teller.tell([Event(Kind.AWAY, lane.name, at=time(), reason=reason) for lane in self.lanes])

    def _succeed(self) -> None:
        if self._failures:
            self._failures = 0
            self.shift.teller.tell([Event(Kind.BACK, lane.name, at=time()) for lane in self.lanes])

    # -- telling

    def _tell(self, lane: Lane, batch: list[Task], answers: list[Answer]) -> None:
        self._tell_begun()
        if self.shift.teller:
            at = time()
            told = (tell_of(lane, task, answer, at) for task, answer in zip(batch, answers, strict=True))
            self.shift.teller.tell([event for event in told if event is not None])

    def _tell_begun(self) -> None:
        events = []
        while self._begun:
            task = self._begun.popleft()
            claim = task.claim
            at = time() - (perf_counter() - task.began)
            where, name = task.setting.name, task.type.name
            events.append(Event(Kind.STARTED, where, claim.id, name, at, claim.attempt, claim.lost))
        self.shift.teller.tell(events)


def give_back(task: Task) -> None:
    """Have a task that has not begun returned to its queue."""
    task.outcome = Return()
    task.began = task.ended = perf_counter()
    task.setting.finished(task)


_KINDS: Final[dict[State, Kind]] = {
    State.FAILED: Kind.FAILED,
    State.TIMED_OUT: Kind.TIMED_OUT,
    State.BROKEN: Kind.BROKEN,
}


def tell_of(lane: Lane, task: Task, answer: Answer, at: float) -> Event | None:
    """The event that a settlement's answer amounts to; None where it was told before."""
    claim, outcome, reason = task.claim, task.outcome, ""
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
    return Event(kind, lane.name, claim.id, task.type.name, at, claim.attempt, claim.lost, took, reason)


class Waiter:
    """Blocks in the store, on a thread of its own, while its mover has nothing to do."""

    def __init__(self, mover: Mover, backend: Wakes) -> None:
        self._mover = mover
        self._backend = backend
        self._wanted = threading.Event()
        self._stopped = False

    def start(self) -> None:
        """Begin to wait for jobs whenever `want` asks for it."""
        threading.Thread(target=self._run, name="jobcore-wait", daemon=True).start()

    def want(self) -> None:
        """The mover rests: wake it when a job may be ready."""
        self._wanted.set()

    def stop(self) -> None:
        """Wait no more; a wait under way ends by itself within a second, and nobody waits for it."""
        self._stopped = True
        self._wanted.set()

    def _run(self) -> None:
        names = [lane.name for lane in self._mover.lanes]
        while self._wanted.wait() and not self._stopped:
            try:
                found = self._backend.wait(names, 1.0)
            except QueueClosed:
                return
            except Exception:  # noqa: BLE001 -- the mover meets the same trouble, and tells of it
                self._wanted.clear()
                found = set()
                threading.Event().wait(random.uniform(0.5, 1))  # noqa: S311 -- spreads retries
                self._wanted.set()
            if found and not self._stopped:
                self._wanted.clear()
                self._mover.wake(found)

