"""Moving: claims what free hands can start soon, settles what they finished, in as few calls as it can.

One mover serves the queues of one backend; `turn` is one round of its loop. Only its own thread
touches its state, but for two deques that hands append to, and for what is settled while it
claims: the store works on one while the other is made ready or read.
"""

from __future__ import annotations

import os
import random
from collections import deque
from collections.abc import Collection, Sequence
from contextlib import suppress
from math import ceil, inf
from typing import TYPE_CHECKING, Final

from jobcore import clocks
from jobcore.aside import Aside
from jobcore.backend import Backend, QueueClosed, Refused, Unavailable, Wakes
from jobcore.codec import Undecodable
from jobcore.outage import Outage
from jobcore.run import NOTHING, Task, Unopened
from jobcore.settling import Settler, give_back, started_event
from jobcore.waiting import Bell, Waiter

if TYPE_CHECKING:
    from jobcore.backend import Claim, Claimed
    from jobcore.events import Event
    from jobcore.shift import Lane, Shift

PREFETCH_SECONDS: Final = 0.05
"""Beyond its free hands a worker claims what it expects to run within this time."""

PREFETCH_JOBS: Final = 1000
PREFETCH_BYTES: Final = 8 * 2**20
"""What a worker claims ahead at the most."""

MOST_REFUSED: Final = 1000
"""With so many settlements of a queue refused, no more is claimed there: most likely the store takes none."""

STALE_SECONDS: Final = 0.1
"""What no hand has taken for so long goes back to the queue."""

NAP_SECONDS: Final = 0.002
GLANCE_SECONDS: Final = 0.05
"""How long to sleep while something is going on, and while something is waited for that nobody rings for."""

LEAST_SECONDS: Final = 0.001
"""How soon to look again after a claim that gave nothing, at the least."""

ALONE_AFTER: Final = 2
"""A job that was lost so often is run alone."""


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
        self.lonely: deque[Task] = deque()  # what waits to be run alone: one in all movers at the most
        self.bell = Bell()
        self.aside = Aside()
        self.hungry = False  # all hands are taken, perhaps by another mover's jobs
        self._outage = Outage(lambda: shift.teller, [lane.name for lane in lanes], shift.lease)
        self._settler = Settler(shift, backend, self._outage, self._settled)
        self._waiter = Waiter(backend, self.wake) if isinstance(backend, Wakes) else None
        self._lease = round(shift.lease * 1_000_000)
        self._begun: deque[Task] = deque()
        self._mark: float = inf  # ring when so many have finished
        self._claimed_bytes = self._settled_bytes = 0  # apart, as both may grow at once
        for lane in lanes:
            lane.mover = self

    # -- what other threads call

    def begun(self, task: Task) -> None:
        """A hand has taken this task, and somebody wants to know."""
        self._begun.append(task)
        if self._mark == 1:
            self._ring()

    def finished(self, task: Task) -> None:
        """A task has its outcome."""
        self._settler.finished.append(task)
        if len(self._settler.finished) >= self._mark:
            self._ring()

    def wake(self, queues: Collection[str] | None = None) -> None:
        """Jobs may be ready in these queues, or in all."""
        for lane in self.lanes:
            if queues is None or lane.name in queues:
                lane.woken = True
        self._ring()

    def tell(self, events: Sequence[Event] = ()) -> None:
        """Tell of what has begun, and then of these."""
        begun = []
        with suppress(IndexError):  # another thread may empty it as well
            while self._begun:
                begun.append(started_event(self._begun.popleft()))
        self.shift.teller.tell([*begun, *events])

    def _ring(self) -> None:
        self._mark = inf
        self.bell.ring()

    @property
    def _bytes(self) -> int:
        """How large the payloads are that are held."""
        return self._claimed_bytes - self._settled_bytes

    @property
    def outstanding(self) -> int:
        """How many tasks are held here and have not ended."""
        return sum(len(lane.held) for lane in self.lanes) - len(self._settler)

    @property
    def away(self) -> bool:
        """Whether the store does not answer just now."""
        return self._outage.lasts

    @property
    def awaited(self) -> int:
        """How many tasks are held that a job waits for which is to run alone, that one included."""
        refused = set(self._settler.refused)
        held = (task for lane in self.lanes for task in list(lane.held))
        return sum(not (task.abandoned or task in refused) for task in held)

    # -- the loop

    def run(self) -> None:
        """Move jobs until the worker is stopped (or, with `until_empty`, has nothing left)."""
        if self._waiter is not None and not self.shift.until_empty:
            self._waiter.start()
        try:
            while not self.over:
                self.turn()
        finally:
            if self._waiter is not None:
                self._waiter.stop()
            self.aside.close()
            self.tell()

    @property
    def over(self) -> bool:
        """Whether there is nothing left to do."""
        shift = self.shift
        if shift.stopping:
            return shift.left or not self._busy or (shift.leaving and not self._may_settle)
        return shift.until_empty and shift.emptied and not self._busy

    @property
    def _busy(self) -> bool:
        """Whether something is held, or may be held by a claim that no answer came to."""
        return self._holds or any(lane.call for lane in self.lanes)

    @property
    def _holds(self) -> bool:
        """Whether something is held that is worth waiting for."""
        return any(not task.abandoned for lane in self.lanes for task in lane.held)

    @property
    def _may_settle(self) -> bool:
        """Whether a worker that leaves has something to settle yet. Sync jobs it leaves to their leases."""
        hands = self.shift.hands
        return bool(len(self._settler) or self.lonely or hands.waiting or hands.cancelling) or any(
            lane.call for lane in self.lanes
        )

    def turn(self) -> None:
        """One round: give back, settle, claim, rest. A store that is away is waited for."""
        self.lanes = [*self.lanes[1:], self.lanes[0]]  # another queue comes first each time
        self._give_back()
        if clocks.steady() >= self._outage.retry_at:
            self._work()
        self.tell()
        self._rest()

    def _work(self) -> None:
        try:
            if not self._settling_is_due():
                self.claim()
            elif self.away:  # one after the other: who claims and can't settle holds ever more
                self._settle_due()
                self.claim()
            else:
                self.aside.both(self._settle_due, self.claim)
            self._run_lonely()
        except QueueClosed:
            self.shift.stop(now=True)
        except Exception as error:  # noqa: BLE001 -- whatever a client library raises, jobs are not dropped for it
            self._outage.failed(error)

    def _settle_due(self) -> None:
        with suppress(Refused):  # told, and kept: it may concern one job alone
            self._settler.settle(self.lanes)

    def settle(self) -> None:
        """Settle what has finished, at once; raises what the store raises."""
        self._settler.settle(self.lanes)

    def finish(self) -> None:
        """Wait until all that is held has ended, and settle it; raises what the store raises."""
        hands = self.shift.hands
        while self._holds and not self.shift.left:
            if self.shift.stopping:
                self._give_back()
            hands.nudge()
            each = self.lonely or not self.shift.settle_every
            mark = len(self._settler.finished) + (1 if each else self.outstanding)
            self._sleep(NAP_SECONDS if hands.waiting else GLANCE_SECONDS, mark)
            self._run_lonely()
            if self.lonely and self.awaited == 1:
                give_back(self.lonely.popleft())  # what it waits for is in doubt, and not cleared up here
            if not self.outstanding or self._settling_is_due():
                self.settle()
        self.tell()

    # -- claiming

    def claim(self) -> None:
        """Claim from each queue that may have jobs: its share of what hands can start soon."""
        now = clocks.steady()
        due = [lane for lane in self.lanes if lane.call or lane.is_due(now)]
        for index, lane in enumerate(due):
            room = self._room_of(lane, len(due) - index)
            if room > 0 or lane.call:
                self.claim_from(lane, room)

    def claim_from(self, lane: Lane, limit: int) -> int:
        """One claim from one queue; its jobs go to the hands. Returns how many are to run.

        A claim that no answer came to is repeated, not made anew: what it took is held, and nobody else sees it.
        """
        sent, doubted = clocks.steady(), lane.call is not None
        lane.quiet = lane.woken = False
        lane.call = lane.call or os.urandom(16)
        try:
            spare = max(0, PREFETCH_BYTES - self._bytes)
            claimed = self.backend.claim(lane.name, limit, self._lease, self.shift.holder, lane.call, spare)
            kept = self._take(lane, claimed, sent)
        except Exception as error:
            lane.woken = True
            if isinstance(error, Unavailable | Refused) and not doubted:  # not carried out, now or before
                lane.call = None
            raise
        lane.call = None
        lane.quiet = limit > 0 and not claimed.claims
        lane.look_at = sent + self._pause(claimed)
        self._outage.worked()
        return kept

    def _pause(self, claimed: Claimed) -> float:
        """Seconds until the next look at a queue, unless it is woken."""
        poll = self.shift.poll_interval * random.uniform(0.9, 1.1)  # noqa: S311 -- spreads polls, hides nothing
        if claimed.next_due is None:
            return poll
        ahead = (claimed.next_due - claimed.now) / 1_000_000
        return min(poll, ahead if claimed.claims else max(ahead, LEAST_SECONDS))

    def _room_of(self, lane: Lane, sharers: int = 1) -> int:
        """How many jobs to claim from a queue now: for free hands, and ahead of them what should start soon."""
        shift = self.shift
        if shift.stopping or shift.lonely or shift.exhausted or (shift.until_empty and shift.emptied):
            return 0
        if sum(task.setting is lane for task in self._settler.refused) >= MOST_REFUSED:
            return 0
        ahead = self._ahead() if self._bytes < PREFETCH_BYTES else 0
        room = shift.hands.count + ahead - shift.outstanding
        if room < max(1, ahead // 2):  # few large claims, not many small ones
            return 0
        share = 1 if lane.wary else ceil(room / sharers)
        return share if lane.limit is None else min(share, lane.limit - len(lane.held))

    def _ahead(self) -> int:
        """How many jobs to hold beyond what hands can run at once: what should start soon, and is allowed."""
        soon = min(PREFETCH_JOBS, int(self._settler.pace * PREFETCH_SECONDS))
        allowed = self.shift.prefetch
        return soon if allowed is None else min(soon, (allowed - 1) * self.shift.hands.count)

    def _take(self, lane: Lane, claimed: Claimed, sent: float) -> int:
        """Hold what was claimed, and pass it to the hands; returns how much of it does not go back unrun."""
        now, then = clocks.steady(), claimed.now
        tasks = [_task(lane, each, sent + (each.lease_until - then) / 1_000_000, now) for each in claimed.claims]
        self._claimed_bytes += sum(len(task.claim.payload) for task in tasks)
        lane.held.update(tasks)
        others = [task for task in tasks if task.claim.lost < ALONE_AFTER]
        lane.wary = len(others) < len(tasks) if tasks else lane.wary
        refused = [] if len(others) == len(tasks) else self._enlist(tasks)
        if self.shift.alone or self.shift.stopping:
            refused, others = [*refused, *others], []
        for task in refused:
            give_back(task)
        self.shift.hands.give(others)
        return len(tasks) - len(refused)

    def _enlist(self, tasks: list[Task]) -> list[Task]:
        """Have the first of the jobs that were lost before wait to run alone; returns those that can't."""
        lost = (task for task in tasks if task.claim.lost >= ALONE_AFTER)
        return [task for task in lost if not self.shift.enlist(task, self.lonely)]

    # -- what runs

    def _give_back(self) -> None:
        """Return what waits for a hand in vain: behind long jobs, or as the worker stops, or before a lonely job."""
        shift, now = self.shift, clocks.steady()
        if shift.leaving:
            shift.hands.cancel()
        if shift.stopping or shift.lonely or (shift.hands.waiting and shift.hands.free == 0):
            kept = []
            for task in shift.hands.withdraw():
                in_the_way = shift.lonely and not shift.isolated(task)
                if shift.stopping or in_the_way or now - task.claimed > STALE_SECONDS:
                    give_back(task)
                    self._settler.pace = 0.0
                else:
                    kept.append(task)
            shift.hands.give(kept)
        if shift.stopping:
            while self.lonely:
                give_back(self.lonely.popleft())

    def _run_lonely(self) -> None:
        """Start a job that was lost before, once nothing else is held."""
        if self.lonely and self.shift.isolate(self.lonely[0], self):
            self.shift.hands.give([self.lonely.popleft()])

    def _settled(self, lane: Lane, batch: list[Task]) -> None:
        if self.shift.until_empty:
            self.shift.disturb(self)  # before nothing is held: who looks then must not take the queue for empty
        lane.held.difference_update(batch)
        self._settled_bytes += sum(len(task.claim.payload) for task in batch)
        self.shift.release(batch)
        for mover in self.shift.movers:
            if mover.hungry and mover is not self:
                mover.bell.ring()
        self.tell()

    # -- resting

    def _rest(self) -> None:
        """Sleep until there is something to do; as long as it takes, or a moment if more is expected soon."""
        shift, now = self.shift, clocks.steady()
        glance = GLANCE_SECONDS if shift.stopping or shift.lonely or shift.until_empty else inf
        if self._outage.retry_at > now:
            self._sleep(min(self._outage.retry_at - now, glance), inf)
        elif self._settler.finished or shift.hands.waiting:
            shift.hands.nudge()
            if not self._settling_is_due():
                company = self.outstanding // 2 if shift.settle_every else 0
                self._sleep(NAP_SECONDS, len(self._settler.finished) + max(1, company))
        elif not self.over:
            self._sleep(min(self._idle_seconds(now), glance, self._settler.retry_at - now), 1)

    def _idle_seconds(self, now: float) -> float:
        """How long nothing is to be claimed unless it is told of: then the store is asked to tell."""
        self.hungry = True  # before looking, so that a hand that becomes free meanwhile is not missed
        lanes = [lane for lane in self.lanes if self._room_of(lane) > 0]
        self.hungry = not lanes
        if any(lane.woken for lane in lanes):
            return 0
        if lanes and self._waiter is not None:
            self._waiter.want([lane.name for lane in lanes])
        return min((lane.look_at - now for lane in lanes), default=self.shift.poll_interval)

    def _settling_is_due(self) -> bool:
        return self._settler.is_due(alone=self.outstanding == 0)

    def _sleep(self, seconds: float, mark: float) -> None:
        """Sleep until rung, for up to `seconds`, or until `mark` tasks have finished."""
        self._mark = mark
        if len(self._settler.finished) < mark:
            self.bell.sleep(seconds)
        self._mark = inf


def _task(lane: Lane, claim: Claim, until: float, now: float) -> Task:
    """A task for a claim; one whose payload can't be opened says so when its turn comes."""
    try:
        return Task(lane, claim, *lane.registry.open(claim.payload), until, now)
    except Undecodable as error:
        return Task(lane, claim, Unopened(error), NOTHING, until, now)
