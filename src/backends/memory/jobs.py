"""One queue's jobs and the moves between their states, as the state table says."""

from __future__ import annotations

import sys
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush, nsmallest
from itertools import count
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
from jobcore.backends.memory.job import Job, Key
from jobcore.backends.memory.line import Line

_SECOND: Final = 1_000_000


class Jobs:
    """The jobs of one queue. Whoever calls holds the lock, has checked the arguments, and says what time it is.

    What claims and settlements need is at hand: of each priority the jobs that wait, in line; what each call
    holds; and what has ended, in that order. Listings and counts look at every job.
    """

    def __init__(self) -> None:
        ended = {state: OrderedDict[str, Job]() for state in State}
        self._jobs: dict[str, Job] = {}
        self._lines: defaultdict[int, Line] = defaultdict(Line)
        self._calls: defaultdict[bytes, dict[str, Job]] = defaultdict(dict)
        self._ended = ended | {State.TIMED_OUT: ended[State.FAILED]}  # which share a cap
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
        job = Job(push, now, max(now + push.delay, push.run_at or 0), next(self._serial))
        self._jobs[push.id] = job
        self._wait(job, now)
        return Pushed(push.id, created=True, state=job.view(now))

    def claim(self, limit: int, lease: int, holder: str, call: bytes, max_bytes: int, now: int) -> Claimed:
        """Give due jobs to `holder`, or again those that `call` holds."""
        if call in self._calls:
            return Claimed(self._held(call), now, now)
        jobs, full = self._take(limit, max_bytes, now)
        for job in jobs:
            job.attempt += 1
            job.state, job.started_at = State.RUNNING, now
            self._grant(job, call, holder, now, lease)
        return Claimed(self._held(call), now, now if full else self.soonest())

    def reclaim(self, limit: int, lease: int, holder: str, call: bytes, of: str | None, now: int) -> list[Claim]:
        """Give running jobs whose holder is lost to another, or again those that `call` holds."""
        if call not in self._calls:
            for lapsed_at, _, job in nsmallest(limit, self._lost(of, now)):
                self._release(job)
                job.lost += 1
                self._grant(job, call, holder, now, lease, lapsed_at)
        return self._held(call)

    def extend(self, hold: Hold, lease: int, now: int) -> Answer:
        """Move the end of a lease."""
        job = self._jobs.get(hold.id)
        if job is None or job.claim is None or not job.is_held(hold):
            return Answer.LOST
        job.claim = replace(job.claim, lease_until=now + lease)
        return Answer.HELD

    def settle(self, hold: Hold, outcome: Outcome, keep: Keep, now: int) -> Answer:
        """End a run as `outcome` says, and keep no more than `keep` of its kind."""
        job = self._jobs.get(hold.id)
        if job is None or not job.is_held(hold):
            return Answer.LOST
        self._release(job)
        match outcome:  # without patterns within: they take longer than all the rest
            case Succeed():
                job.reason, job.value = None, outcome.value
                self._end(job, State.SUCCEEDED, keep.succeeded, now)
            case Fail():
                job.reason = outcome.reason
                self._end(job, outcome.state, sys.maxsize if outcome.state is State.BROKEN else keep.failed, now)
            case Retry():
                job.reason = outcome.reason
                self._wait_anew(job, now + outcome.delay, now)
            case Return():
                job.attempt -= 1
                self._wait(job, now)
        return Answer.DONE

    def soonest(self) -> int | None:
        """The first place of all that wait, over all priorities."""
        firsts = (line.first() for line in self._lines.values())
        return min((job.place for job in firsts if job), default=None)

    def peek(self, state: State, limit: int, after: str | None, now: int) -> Page:
        """A page of a state's listing. The cursor is the key of the page's last."""
        low = _parse(after)
        listed = ((job.key, id) for id, job in self._jobs.items() if job.view(now) is state and job.key > low)
        page = nsmallest(limit + 1, listed)
        entries = [self._jobs[id].entry(now) for _, id in page[:limit]]
        return Page(entries, ",".join(map(str, page[limit - 1][0])) if len(page) > limit else None)

    def get(self, id: str, now: int) -> Entry | None:
        """What is known of a job."""
        job = self._jobs.get(id)
        return job.entry(now) if job else None

    def counts(self, now: int) -> Counts:
        """How many jobs are in each state."""
        return Counts(**Counter(job.view(now).value for job in self._jobs.values()))

    def redrive(self, id: str, now: int) -> Answer:
        """Make a failed job ready again, as if it had never run."""
        job = self._jobs.get(id)
        if job is None:
            return Answer.MISSING
        if job.state not in REDRIVABLE:
            return Answer.WRONG_STATE
        del self._ended[job.state][id]
        job.attempt = job.lost = 0
        job.finished_at = job.reason = None
        self._wait_anew(job, now, now)
        return Answer.DONE

    def remove(self, ids: Sequence[str], now: int) -> list[Answer]:
        """Take jobs out of the store."""
        answers = [self._remove(id, now) for id in ids]
        gone = {id for id, answer in zip(ids, answers, strict=True) if answer is Answer.DONE}
        for line in self._lines.values():
            line.drop(gone)
        return answers

    def _remove(self, id: str, now: int) -> Answer:
        job = self._jobs.get(id)
        if job is None:
            return Answer.MISSING
        if job.state is State.RUNNING:
            return Answer.WRONG_STATE
        self._ended[job.state].pop(id, None)
        self._leave(job, now)
        return Answer.DONE

    # -- moving a job

    def _wait(self, job: Job, now: int) -> None:
        job.state = State.READY
        self._lines[job.push.priority].add(job, now)

    def _wait_anew(self, job: Job, place: int, now: int) -> None:
        job.place, job.seq = place, next(self._serial)
        self._wait(job, now)

    def _take(self, limit: int, max_bytes: int, now: int) -> tuple[list[Job], bool]:
        """Due jobs, which wait no more, and whether `limit` or `max_bytes` ended the choice."""
        taken: list[Job] = []
        for _, line in sorted(self._lines.items(), reverse=True):
            while len(taken) < limit and (job := line.pop(now, max_bytes if taken else sys.maxsize)):
                max_bytes -= len(job.push.payload)
                taken.append(job)
            if (job := line.first()) and job.place <= now:
                return taken, True
        return taken, len(taken) == limit

    def _end(self, job: Job, state: State, cap: int, now: int) -> None:
        job.state, job.finished_at, job.seq = state, now, next(self._serial)
        ended = self._ended[state]
        ended[job.push.id] = job
        while len(ended) > cap:
            self._leave(ended.popitem(last=False)[1], now)

    def _leave(self, job: Job, now: int) -> None:
        id, remember = job.push.id, job.push.remember
        del self._jobs[id]
        if remember:
            expiry = self._remembered[id] = now + remember * _SECOND
            heappush(self._expiries, (expiry, id))

    def _forget(self, now: int) -> None:
        while self._expiries and self._expiries[0][0] <= now:
            del self._remembered[heappop(self._expiries)[1]]

    # -- holding a job

    def _grant(self, job: Job, call: bytes, holder: str, now: int, lease: int, lapsed_at: int | None = None) -> None:
        self._fence = max(self._fence + 1, now)
        push, until = job.push, now + lease
        job.holder = holder
        job.claim = Claim(
            push.id, call, self._fence, push.payload, push.priority, job.attempt, job.lost, job.pushed_at,
            job.started_at, until, lapsed_at,
        )  # fmt: skip
        self._calls[call][push.id] = job

    def _release(self, job: Job) -> None:
        assert job.claim is not None  # noqa: S101 -- told to the type checker: its caller has looked
        held = self._calls[job.claim.call]
        del held[job.push.id]
        if not held:
            del self._calls[job.claim.call]
        job.claim = None

    def _held(self, call: bytes) -> list[Claim]:
        """What `call` holds, in the order in which it was given."""
        return [job.claim for job in self._calls.get(call, {}).values() if job.claim]

    def _lost(self, of: str | None, now: int) -> Iterator[tuple[int, int, Job]]:
        """The end of its lease, and the job, for each that runs and may be taken over."""
        for held in self._calls.values():
            for job in held.values():
                if job.claim and (job.claim.lease_until <= now if of is None else job.holder == of):
                    yield job.claim.lease_until, job.seq, job


def _parse(cursor: str | None) -> Key:
    try:
        return tuple(map(int, cursor.split(","))) if cursor is not None else ()
    except ValueError:
        raise InvalidArgument(f"{cursor!r} is no cursor of a listing") from None
