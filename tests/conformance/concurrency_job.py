"""One job, as calls made at the same time may find it: the state table, once more.

It shares nothing with drivers, the core or the suite's model of a queue but the protocol's values. Where an answer does
not tell what became of the job, all that may have become of it follows.

Time is known only as far as answers tell it. Delays and remembrance last longer than the history, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from jobcore.backend import (
    REDRIVABLE,
    Answer,
    Claim,
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
from jobcore.conformance.history import UNANSWERED, Operation, Silence


class Run(NamedTuple):
    """What a running job has.

    Attributes:
        fence: None until an answer has told it; a monitor may take the job over before that.
        granted: when it was given to this holder; 0 until an answer has told it.
        lease_until: when its lease runs out, or after an extension the earliest time at which it can.
        extended: whether there was one.
    """

    call: bytes
    holder: str
    fence: int | None = None
    granted: int = 0
    lease_until: int = 0
    extended: bool = False


class Job(NamedTuple):
    """A job at some moment, or what is left of it.

    Attributes:
        state: None if it is not in the store; READY whether it is due or not.
        push: what stored it; None if nothing did, or it is forgotten.
        ahead: whether its place lies so far ahead that it will not be due.
        fence: the last that was told.
    """

    state: State | None = None
    push: Push | None = None
    ahead: bool = False
    attempt: int = 0
    lost: int = 0
    fence: int = 0
    run: Run | None = None

    def __str__(self) -> str:
        if self.state is None:
            return "remembered" if self.push else "not there"
        words = [f"{self.view}", f"attempt {self.attempt}", f"lost {self.lost}"]
        if self.run:
            words.append(f"held by {self.run.holder} with call {int.from_bytes(self.run.call)}")
        return ", ".join(words)

    @property
    def view(self) -> State | None:
        """The state, with SCHEDULED told apart."""
        return State.SCHEDULED if self.ahead else self.state

    def seen_as(self, state: State | None) -> bool:
        """Whether it may be seen in a state. One that is due may not be by the clock of a call that began before."""
        return state is self.view or (self.state is State.READY and state is State.SCHEDULED)

    def holds(self, hold: Hold) -> bool:
        """Whether a token is current."""
        return self.run is not None and (self.run.call, self.run.fence) == (hold.call, hold.fence)


def after(job: Job, operation: Operation) -> Iterator[Job]:
    """What can become of a job by an operation with the answer that it had; nothing: it can't have had it."""
    yield from _MOVES[operation.verb](job, operation.answer, *operation.arguments)


def looks(operation: Operation) -> bool:
    """Whether an operation, as it was answered, has left the job as it was."""
    match operation.answer:
        case Pushed(created=created):
            return not created
        case Answer():
            return operation.answer not in {Answer.DONE, Answer.HELD}
        case _:
            return operation.verb == "get"


def _push(job: Job, answer: Pushed | Silence, push: Push) -> Iterator[Job]:
    created = job.push is None
    stored = Job(State.READY, push, ahead=push.delay > 0) if created else job
    if answer is UNANSWERED or (answer.created == created and stored.seen_as(answer.state)):
        yield stored


def _claim(
    job: Job, answer: Claim | Silence, _limit: int, lease: int, holder: str, call: bytes, _bytes: int
) -> Iterator[Job]:
    if job.state is State.READY and not job.ahead:
        yield from _given(job._replace(state=State.RUNNING, attempt=job.attempt + 1), answer, lease, holder, call)
    yield from _given_before(job, answer, call)


def _reclaim(
    job: Job, answer: Claim | Silence, _limit: int, lease: int, holder: str, call: bytes, of: str | None
) -> Iterator[Job]:
    if job.run and job.run.call != call and of in {None, job.run.holder} and _may_lapse(job.run, answer, lease, of):
        yield from _given(job._replace(lost=job.lost + 1), answer, lease, holder, call)
    yield from _given_before(job, answer, call)


def _may_lapse(run: Run, answer: Claim | Silence, lease: int, of: str | None) -> bool:
    """Whether the lease that a reclaim says to have ended is the one there was, and has ended if it must have."""
    if answer is UNANSWERED:
        return True
    if answer.lapsed_at is None or (of is None and answer.lapsed_at > answer.lease_until - lease):
        return False
    untold = run.extended or not run.granted
    return answer.lapsed_at >= run.lease_until if untold else answer.lapsed_at == run.lease_until


def _given(job: Job, answer: Claim | Silence, lease: int, holder: str, call: bytes) -> Iterator[Job]:
    """A job that is given to a holder now."""
    if answer is UNANSWERED:
        yield job._replace(run=Run(call, holder))
    elif answer.call == call and answer.fence > job.fence and _as_it_is(answer, job):
        run = Run(call, holder, answer.fence, answer.lease_until - lease, answer.lease_until)
        yield job._replace(run=run, fence=answer.fence)


def _given_before(job: Job, answer: Claim | Silence, call: bytes) -> Iterator[Job]:
    """A job that the same call was given before, or that a call which may have done nothing left alone."""
    if answer is UNANSWERED:
        yield job
    elif job.run and job.run.call == call and _as_it_is(answer, job):
        if job.run.fence is None and answer.fence > job.fence:
            yield job._replace(run=job.run._replace(fence=answer.fence), fence=answer.fence)
        elif job.run.fence == answer.fence:
            yield job


def _as_it_is(answer: Claim | Entry, job: Job) -> bool:
    told = (answer.payload, answer.priority, answer.attempt, answer.lost)
    return job.push is not None and told == (job.push.payload, job.push.priority, job.attempt, job.lost)


def _extend(job: Job, answer: Answer | Silence, hold: Hold, lease: int) -> Iterator[Job]:
    if answer in {UNANSWERED, Answer.BUSY, Answer.LOST} and (answer is not Answer.LOST or not job.holds(hold)):
        yield job
    if answer in {UNANSWERED, Answer.HELD} and job.run and job.holds(hold):
        yield job._replace(run=job.run._replace(lease_until=job.run.granted + lease, extended=True))


def _settle(job: Job, answer: Answer | Silence, settlement: tuple[Hold, Outcome], keep: Keep) -> Iterator[Job]:
    hold, outcome = settlement
    current = job.holds(hold)
    if answer in {UNANSWERED, Answer.DONE if current else Answer.LOST}:
        yield _settled(job, outcome, keep) if current else job


def _settled(job: Job, outcome: Outcome, keep: Keep) -> Job:
    job = job._replace(run=None)
    match outcome:
        case Succeed():
            return job._replace(state=State.SUCCEEDED) if keep.succeeded else _gone(job)
        case Fail(state):
            return job._replace(state=state) if keep.failed or state is State.BROKEN else _gone(job)
        case Retry(delay):
            return job._replace(state=State.READY, ahead=delay > 0)
        case Return():
            return job._replace(state=State.READY, attempt=job.attempt - 1)


def _redrive(job: Job, answer: Answer | Silence, _id: str) -> Iterator[Job]:
    if job.state in REDRIVABLE and answer in {UNANSWERED, Answer.DONE}:
        yield job._replace(state=State.READY, attempt=0, lost=0)
    elif job.state not in REDRIVABLE and answer in {UNANSWERED, _refused(job)}:
        yield job


def _remove(job: Job, answer: Answer | Silence, _id: str) -> Iterator[Job]:
    goes = job.state not in {None, State.RUNNING}
    if answer in {UNANSWERED, Answer.DONE if goes else _refused(job)}:
        yield _gone(job) if goes else job


def _refused(job: Job) -> Answer:
    return Answer.WRONG_STATE if job.state else Answer.MISSING


def _gone(job: Job) -> Job:
    """Its id is remembered for long, or not at all; the fences of a job that is pushed anew begin anew."""
    return Job(push=job.push) if job.push and job.push.remember else Job()


def _get(job: Job, answer: Entry | Silence | None, _id: str) -> Iterator[Job]:
    if answer in {UNANSWERED, None}:
        fits = answer is UNANSWERED or job.state is None
    else:
        fits = job.seen_as(answer.state) and _as_it_is(answer, job) and answer.holder == (job.run and job.run.holder)
    if fits:
        yield job


def _destroy(_job: Job, _answer: Silence | None) -> Iterator[Job]:
    yield Job()


_MOVES: Final[dict[str, Callable[..., Iterator[Job]]]] = {
    "push": _push,
    "claim": _claim,
    "reclaim": _reclaim,
    "extend": _extend,
    "settle": _settle,
    "get": _get,
    "redrive": _redrive,
    "remove": _remove,
    "destroy": _destroy,
}
