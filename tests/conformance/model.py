"""An independent model of a queue: the state table over a plain list, with no thought of speed.

It shares nothing with drivers or the core but the protocol's values. Where the protocol leaves a driver
free (fences, and which of two leases that ended together is taken over first), it is told what the store
chose, and refuses what was not allowed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

from jobcore.backend import (
    Answer,
    Claim,
    Counts,
    Entry,
    Fail,
    Hold,
    Keep,
    Outcome,
    Push,
    Pushed,
    Retry,
    Return,
    State,
    Succeed,
)

SECOND: Final = 1_000_000


@dataclass
class Run:
    """What a job has while it runs. The fence is None until the store has told it."""

    call: bytes
    holder: str
    started_at: int
    lease_until: int
    lapsed_at: int | None = None
    fence: int | None = None


@dataclass
class Job:
    """A job, as the model sees it."""

    push: Push
    pushed_at: int
    place: int
    turn: int
    state: State = State.READY
    attempt: int = 0
    lost: int = 0
    run: Run | None = None
    started_at: int | None = None
    finished_at: int | None = None
    last_fence: int = 0
    reason: str | None = None
    value: bytes | None = None

    @property
    def order(self) -> tuple[int, int, int]:
        """The one order key."""
        return (-self.push.priority, self.place, self.turn)


@dataclass
class Model:
    """A queue. `now` is moved from outside; `turn` numbers what happens, and so settles every tie."""

    now: int
    jobs: list[Job] = field(default_factory=list)
    remembered: dict[str, int] = field(default_factory=dict)
    turn: int = 0

    # -- verbs

    def push(self, pushes: Sequence[Push]) -> list[Pushed]:
        """As `Backend.push`."""
        return [self._push(push) for push in pushes]

    def claim(self, limit: int, lease: int, holder: str, call: bytes, max_bytes: int) -> tuple[list[Job], int | None]:
        """The jobs that a claim gives, and `next_due`."""
        if held := self.held(call):
            return sorted(held, key=lambda job: job.order), self.now
        due = self.listed(State.READY)[:limit]
        sums = accumulate(len(job.push.payload) for job in due)
        taken = [
            job for number, (job, size) in enumerate(zip(due, sums, strict=True)) if number == 0 or size <= max_bytes
        ]
        for job in taken:
            job.state = State.RUNNING
            job.attempt += 1
            job.started_at = self.now
            job.run = Run(call, holder, self.now, self.now + lease)
        stopped = len(taken) == limit or len(taken) < len(due)
        return taken, self.now if stopped else min((job.place for job in self.listed(State.SCHEDULED)), default=None)

    def lapsed(self, of: str | None) -> list[Job]:
        """The jobs that a reclaim may take, the longest ago first."""
        found = [(job.run.lease_until, job) for job in self.jobs if job.run and _lapsed(job.run, of, self.now)]
        return [job for _, job in sorted(found, key=lambda pair: pair[0])]

    def take_over(self, jobs: Sequence[Job], lease: int, holder: str, call: bytes) -> None:
        """Have a reclaim take these."""
        for job in jobs:
            old = _run(job)
            job.lost += 1
            job.run = Run(call, holder, old.started_at, self.now + lease, lapsed_at=old.lease_until)

    def extend(self, holds: Sequence[Hold], lease: int) -> list[Answer]:
        """As `Backend.extend`, never BUSY."""
        answers = []
        for hold in holds:
            job = self.current(hold)
            if job:
                _run(job).lease_until = self.now + lease
            answers.append(Answer.HELD if job else Answer.LOST)
        return answers

    def settle(self, settlements: Sequence[tuple[Hold, Outcome]], keep: Keep) -> list[Answer]:
        """As `Backend.settle`."""
        return [self._settle(hold, outcome, keep) for hold, outcome in settlements]

    def redrive(self, ids: Sequence[str]) -> list[Answer]:
        """As `Backend.redrive`."""
        return [self._redrive(self.find(id)) for id in ids]

    def remove(self, ids: Sequence[str]) -> list[Answer]:
        """As `Backend.remove`."""
        return [self._remove(self.find(id)) for id in ids]

    def destroy(self) -> None:
        """As `Backend.destroy`."""
        self.jobs, self.remembered = [], {}

    # -- what is seen

    def find(self, id: str) -> Job | None:
        """The job of that id."""
        return next((job for job in self.jobs if job.push.id == id), None)

    def held(self, call: bytes) -> list[Job]:
        """The jobs that a call holds."""
        return [job for job in self.jobs if job.run and job.run.call == call]

    def current(self, hold: Hold) -> Job | None:
        """The job of a token, if it is the current one."""
        job = self.find(hold.id)
        return job if job and job.run and (job.run.call, job.run.fence) == (hold.call, hold.fence) else None

    def view(self, job: Job) -> State:
        """A job's state, with READY and SCHEDULED told apart."""
        return State.SCHEDULED if job.state is State.READY and job.place > self.now else job.state

    def listed(self, state: State) -> list[Job]:
        """The jobs of a state in the order of its listing; which of two that started together is left open."""
        jobs = [job for job in self.jobs if self.view(job) is state]
        match state:
            case State.READY | State.SCHEDULED:
                return sorted(jobs, key=lambda job: job.order)
            case State.RUNNING:
                return sorted(jobs, key=lambda job: _run(job).started_at)
            case _:
                return sorted(jobs, key=lambda job: job.turn, reverse=True)

    def counts(self) -> Counts:
        """As `Backend.counts`."""
        return Counts(**{state.value: len(self.listed(state)) for state in State})

    def entry(self, job: Job) -> Entry:
        """As `Backend.get` tells of a job."""
        run = job.run
        return Entry(
            id=job.push.id,
            state=self.view(job),
            payload=job.push.payload,
            priority=job.push.priority,
            place=job.place,
            attempt=job.attempt,
            lost=job.lost,
            pushed_at=job.pushed_at,
            started_at=job.started_at,
            lease_until=run.lease_until if run else None,
            holder=run.holder if run else None,
            finished_at=job.finished_at,
            reason=job.reason,
            value=job.value,
        )

    def learn(self, job: Job, claim: Claim) -> Claim:
        """What the store must say of a held job. A fence that is heard for the first time must have risen."""
        run = _run(job)
        if run.fence is None:
            assert claim.fence > job.last_fence, "a fence must rise with each claim of a job"
            run.fence = job.last_fence = claim.fence
        return Claim(
            id=job.push.id,
            call=run.call,
            fence=run.fence,
            payload=job.push.payload,
            priority=job.push.priority,
            attempt=job.attempt,
            lost=job.lost,
            pushed_at=job.pushed_at,
            started_at=run.started_at,
            lease_until=run.lease_until,
            lapsed_at=run.lapsed_at,
        )

    def deadlines(self) -> list[int]:
        """All times at which something comes due, runs out or is forgotten."""
        return sorted(time for time in {*self._deadlines()} if time > self.now)

    # -- the parts of these

    def _push(self, push: Push) -> Pushed:
        known = self.find(push.id)
        if known:
            return Pushed(push.id, created=False, state=self.view(known))
        if self.remembered.get(push.id, self.now) > self.now:
            return Pushed(push.id, created=False, state=None)
        job = Job(push, self.now, max(self.now + push.delay, push.run_at or 0), self._next_turn())
        self.jobs.append(job)
        return Pushed(push.id, created=True, state=self.view(job))

    def _settle(self, hold: Hold, outcome: Outcome, keep: Keep) -> Answer:
        job = self.current(hold)
        if job is None:
            return Answer.LOST
        job.run = None
        match outcome:
            case Succeed(value):
                job.reason, job.value = None, value
                self._finish(job, State.SUCCEEDED)
                self._trim({State.SUCCEEDED}, keep.succeeded)
            case Fail(state, reason):
                job.reason = reason
                self._finish(job, state)
                if state is not State.BROKEN:
                    self._trim({State.FAILED, State.TIMED_OUT}, keep.failed)
            case Retry(delay, reason):
                job.reason = reason
                self._make_ready(job, self.now + delay)
            case Return():
                job.state, job.started_at = State.READY, None
                job.attempt -= 1
        return Answer.DONE

    def _finish(self, job: Job, state: State) -> None:
        job.state, job.finished_at, job.turn = state, self.now, self._next_turn()

    def _trim(self, states: set[State], cap: int) -> None:
        kept = sorted((job for job in self.jobs if job.state in states), key=lambda job: -job.turn)
        for job in kept[cap:]:
            self._drop(job)

    def _make_ready(self, job: Job, place: int) -> None:
        job.state, job.place, job.turn = State.READY, place, self._next_turn()
        job.started_at = job.finished_at = None

    def _redrive(self, job: Job | None) -> Answer:
        if job is None:
            return Answer.MISSING
        if job.state not in {State.FAILED, State.TIMED_OUT, State.BROKEN}:
            return Answer.WRONG_STATE
        job.attempt, job.lost, job.reason = 0, 0, None
        self._make_ready(job, self.now)
        return Answer.DONE

    def _remove(self, job: Job | None) -> Answer:
        if job is None:
            return Answer.MISSING
        if job.state is State.RUNNING:
            return Answer.WRONG_STATE
        self._drop(job)
        return Answer.DONE

    def _drop(self, job: Job) -> None:
        self.jobs.remove(job)
        self.remembered[job.push.id] = self.now + job.push.remember * SECOND

    def _next_turn(self) -> int:
        self.turn += 1
        return self.turn

    def _deadlines(self) -> Iterator[int]:
        yield from (job.place for job in self.jobs)
        yield from (job.run.lease_until for job in self.jobs if job.run)
        yield from self.remembered.values()


def _run(job: Job) -> Run:
    assert job.run, f"{job.push.id} does not run"
    return job.run


def _lapsed(run: Run, of: str | None, now: int) -> bool:
    return run.lease_until <= now if of is None else run.holder == of
