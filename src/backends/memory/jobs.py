"""One queue's jobs and the moves between their states, as the state table says."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush, nsmallest
from itertools import count, islice
from typing import Final

from msgspec.structs import replace

from jobcore.backend import (
    REDRIVABLE,
    Answer,
    Claim,
    Claimed,
    Counts,
    Entry,
    Fail,
    Hold,
    InvalidArgument,
    Keep,
    Outcome,
    Page,
    Push,
    Pushed,
    Retry,
    Return,
    State,
    Succeed,
)
from jobcore.backends.memory.job import Job, Key, Lease
from jobcore.backends.memory.order import Order

_SECOND: Final = 1_000_000


class Jobs:
    """The jobs of one queue. Whoever calls holds the lock, has checked the arguments, and says what time it is."""

    def __init__(self) -> None:
        failed = Order()  # one for both, as they share a cap
        self._orders = {state: Order() for state in State} | {State.FAILED: failed, State.TIMED_OUT: failed}
        self._jobs: dict[str, Job] = {}
        self._calls: dict[bytes, dict[str, Job]] = {}
        self._remembered: dict[str, int] = {}
        self._expiries: list[tuple[int, str]] = []
        self._serial = count(1)
        self._fence = 0

    def push(self, push: Push, now: int) -> Pushed:
        """Store a job, unless its id is known."""
        self._forget(now)
        known = self._jobs.get(push.id)
        if known is not None or push.id in self._remembered:
            return Pushed(push.id, created=False, state=known.view(now) if known else None)
        place = max(now + push.delay, push.run_at or 0)
        job = Job(push.id, push.payload, push.priority, push.remember, now, place, next(self._serial))
        self._jobs[job.id] = job
        self._enter(job, State.READY)
        return Pushed(job.id, created=True, state=job.view(now))

    def claim(self, limit: int, lease: int, holder: str, call: bytes, max_bytes: int, now: int) -> Claimed:
        """Give due jobs to `holder`, or again those that `call` holds."""
        if call in self._calls:
            return Claimed(self._held(call), now, now)
        jobs, full = self._choose(limit, max_bytes, now)
        for job in jobs:
            self._leave(job)
            job.attempt += 1
            job.started_at = now
            self._enter(job, State.RUNNING)
            self._grant(job, call, holder, now, lease)
        return Claimed(self._held(call), now, now if full else self.next_due(now))

    def reclaim(self, limit: int, lease: int, holder: str, call: bytes, of: str | None, now: int) -> list[Claim]:
        """Give running jobs whose holder is lost to another, or again those that `call` holds."""
        if call not in self._calls:
            for lapsed_at, _, id in nsmallest(limit, self._lost(of, now)):
                job = self._jobs[id]
                self._release(job)
                job.lost += 1
                self._grant(job, call, holder, now, lease, lapsed_at)
        return self._held(call)

    def extend(self, hold: Hold, lease: int, now: int) -> Answer:
        """Move the end of a lease."""
        job = self._jobs.get(hold.id)
        if job is None or job.lease is None or not job.held_by(hold):
            return Answer.LOST
        job.lease = replace(job.lease, until=now + lease)
        return Answer.HELD

    def settle(self, hold: Hold, outcome: Outcome, keep: Keep, now: int) -> Answer:
        """End a run as `outcome` says, and keep no more than `keep` of its kind."""
        job = self._jobs.get(hold.id)
        if job is None or not job.held_by(hold):
            return Answer.LOST
        self._release(job)
        self._leave(job)
        match outcome:
            case Succeed(value):
                job.reason, job.value = None, value
                self._finish(job, State.SUCCEEDED, keep.succeeded, now)
            case Fail(state, reason):
                job.reason = reason
                self._finish(job, state, None if state is State.BROKEN else keep.failed, now)
            case Retry(delay, reason):
                job.reason = reason
                self._ready(job, now + delay)
            case Return():
                job.attempt -= 1
                self._enter(job, State.READY)
        return Answer.DONE

    def any_due(self, now: int) -> bool:
        """Whether there is something to claim."""
        return any(True for _ in self._waiting(State.READY, now))

    def next_due(self, now: int) -> int | None:
        """The first place that lies ahead, over all priorities."""
        ready = self._orders[State.READY]
        ahead = (next(ready.walk((band, now + 1), (band + 1,)), None) for band in self._bands())
        return min((key[1] for key in ahead if key), default=None)

    def peek(self, state: State, limit: int, after: str | None, now: int) -> Page:
        """A page of a state's listing. The cursor is the least key that can follow the page's last."""
        keys = list(islice(self._listing(state, now, _parse(after)), limit + 1))
        entries = [self._jobs[key[-1]].entry(now) for key in keys[:limit]]
        if len(keys) <= limit:
            return Page(entries, None)
        *front, last, _ = keys[limit - 1]
        return Page(entries, ",".join(map(str, (*front, last + 1))))

    def get(self, id: str, now: int) -> Entry | None:
        """What is known of a job."""
        job = self._jobs.get(id)
        return job.entry(now) if job else None

    def counts(self, now: int) -> Counts:
        """How many jobs are in each state."""
        ready = self._orders[State.READY]
        due = sum(ready.rank((band, now + 1)) - ready.rank((band,)) for band in self._bands())
        timed_out = sum(1 for _ in self._listing(State.TIMED_OUT, now))
        return Counts(
            ready=due,
            scheduled=len(ready) - due,
            running=len(self._orders[State.RUNNING]),
            succeeded=len(self._orders[State.SUCCEEDED]),
            failed=len(self._orders[State.FAILED]) - timed_out,
            timed_out=timed_out,
            broken=len(self._orders[State.BROKEN]),
        )

    def redrive(self, id: str, now: int) -> Answer:
        """Make a failed job ready again, as if it had never run."""
        job = self._jobs.get(id)
        if job is None:
            return Answer.MISSING
        if job.state not in REDRIVABLE:
            return Answer.WRONG_STATE
        self._leave(job)
        job.attempt = job.lost = 0
        job.finished_at = job.reason = None
        self._ready(job, now)
        return Answer.DONE

    def remove(self, id: str, now: int) -> Answer:
        """Take a job out of the store."""
        job = self._jobs.get(id)
        if job is None:
            return Answer.MISSING
        if job.state is State.RUNNING:
            return Answer.WRONG_STATE
        self._drop(job, now)
        return Answer.DONE

    # -- moving a job

    def _enter(self, job: Job, state: State) -> None:
        job.state = state
        self._orders[state].add(job.key)

    def _leave(self, job: Job) -> None:
        self._orders[job.state].remove(job.key)

    def _ready(self, job: Job, place: int) -> None:
        job.place, job.seq = place, next(self._serial)
        self._enter(job, State.READY)

    def _finish(self, job: Job, state: State, cap: int | None, now: int) -> None:
        job.finished_at, job.settled = now, next(self._serial)
        self._enter(job, state)
        order = self._orders[state]
        while cap is not None and len(order) > cap:
            self._drop(self._jobs[order.last()[-1]], now)

    def _drop(self, job: Job, now: int) -> None:
        self._leave(job)
        del self._jobs[job.id]
        if job.remember:
            expiry = self._remembered[job.id] = now + job.remember * _SECOND
            heappush(self._expiries, (expiry, job.id))

    def _forget(self, now: int) -> None:
        while self._expiries and self._expiries[0][0] <= now:
            del self._remembered[heappop(self._expiries)[1]]

    # -- holding a job

    def _grant(self, job: Job, call: bytes, holder: str, now: int, lease: int, lapsed_at: int | None = None) -> None:
        self._fence = max(self._fence + 1, now)
        job.lease = Lease(call, self._fence, holder, now + lease, lapsed_at)
        self._calls.setdefault(call, {})[job.id] = job

    def _release(self, job: Job) -> None:
        assert job.lease is not None  # noqa: S101 -- told to the type checker: its caller has looked
        held = self._calls[job.lease.call]
        del held[job.id]
        if not held:
            del self._calls[job.lease.call]
        job.lease = None

    def _held(self, call: bytes) -> list[Claim]:
        """What `call` holds, in the order in which it was given."""
        return [job.claim(job.lease) for job in self._calls.get(call, {}).values() if job.lease]

    def _lost(self, of: str | None, now: int) -> Iterator[tuple[int, int, str]]:
        """The end of its lease, and the job, for each that runs and may be taken over."""
        for key in self._orders[State.RUNNING].walk():
            job = self._jobs[key[-1]]
            if job.lease and (job.lease.until <= now if of is None else job.lease.holder == of):
                yield job.lease.until, job.seq, job.id

    # -- choosing among jobs

    def _choose(self, limit: int, max_bytes: int, now: int) -> tuple[list[Job], bool]:
        """The jobs to claim, and whether `limit` or `max_bytes` ended the choice."""
        chosen: list[Job] = []
        for key in islice(self._waiting(State.READY, now), limit):
            job = self._jobs[key[-1]]
            max_bytes -= len(job.payload)
            if chosen and max_bytes < 0:
                return chosen, True
            chosen.append(job)
        return chosen, len(chosen) == limit

    def _bands(self, low: Key = ()) -> Iterator[int]:
        """The negated priorities that waiting jobs have, in their order."""
        while key := next(self._orders[State.READY].walk(low), None):
            yield key[0]
            low = (key[0] + 1,)

    def _waiting(self, view: State, now: int, low: Key = ()) -> Iterator[Key]:
        """The keys of jobs that are due (READY) or not yet (SCHEDULED), band by band."""
        for band in self._bands(low):
            begin, end = ((band,), (band, now + 1)) if view is State.READY else ((band, now + 1), (band + 1,))
            yield from self._orders[State.READY].walk(max(low, begin), end)

    def _listing(self, state: State, now: int, low: Key = ()) -> Iterator[Key]:
        if state in {State.READY, State.SCHEDULED}:
            return self._waiting(state, now, low)
        return (key for key in self._orders[state].walk(low) if self._jobs[key[-1]].state is state)


def _parse(cursor: str | None) -> Key:
    try:
        return tuple(map(int, cursor.split(","))) if cursor is not None else ()
    except ValueError:
        raise InvalidArgument(f"{cursor!r} is no cursor of a listing") from None
