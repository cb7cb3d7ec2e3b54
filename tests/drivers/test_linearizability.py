"""The checker of concurrent histories: it lets pass what can have been, and says of what can't why not."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from jobcore.backend import Answer, Claim, Claimed, Entry, Fail, Hold, Keep, Push, Pushed, Retry, Return, State, Succeed
from jobcore.conformance.client import NO_BOUND
from jobcore.conformance.concurrency_hammer import HOUR, SHORT, Hammer
from jobcore.conformance.concurrency_job import Job, after, looks
from jobcore.conformance.concurrency_told import told
from jobcore.conformance.history import UNANSWERED, Operation, by_job
from jobcore.conformance.linearizability import Unexplained, first_unexplained, shortest
from jobcore.conformance.model import Model

PUSH = Push("a", b"first")
KEEP = Keep(1000, 1000)
SUCCESS = Succeed()
CREATED = Pushed("a", created=True, state=State.READY)
ONE, TWO = (number.to_bytes(16) for number in (1, 2))


def do(verb: str, answer: Any, *arguments: Any, at: tuple[int, int | None], client: str = "one") -> Operation:
    began, ended = at
    return Operation(client, "a", verb, arguments, answer, began * 1000, None if ended is None else ended * 1000)


def push(at: tuple[int, int | None], answer: Any = CREATED, push: Push = PUSH) -> Operation:
    return do("push", answer, push, at=at)


def claimed(call: bytes, fence: int, **fields: Any) -> Claim:
    told = {"payload": b"first", "priority": 0, "attempt": 1, "lost": 0, "pushed_at": 1, "started_at": 1}
    return Claim("a", call, fence, **{**told, "lease_until": 100, **fields})


def claim(at: tuple[int, int | None], call: bytes = ONE, fence: int = 5, **fields: Any) -> Operation:
    return do("claim", claimed(call, fence, **fields), 1, 90, "one", call, NO_BOUND, at=at)


def reclaim(at: tuple[int, int | None], fence: int = 6, **fields: Any) -> Operation:
    fields = {"lost": 1, "lapsed_at": 100, "lease_until": 200, **fields}
    return do("reclaim", claimed(TWO, fence, **fields), 1, 90, "two", TWO, None, at=at, client="two")


def settle(at: tuple[int, int | None], answer: Any, hold: Hold, outcome: Any = SUCCESS) -> Operation:
    return do("settle", answer, (hold, outcome), KEEP, at=at)


def found(*history: Operation) -> Unexplained[Job] | None:
    return first_unexplained(history, Job(), after)


FIRST, SECOND = Hold("a", ONE, 5), Hold("a", TWO, 6)
HELD = (push((0, 1)), claim((2, 3)))
FAILED = (*HELD, settle((4, 5), Answer.DONE, FIRST, Fail()))
TAKEN_OVER = (*HELD, reclaim((4, 5)))

POSSIBLE = {
    "nothing": (),
    "a life": (*HELD, settle((4, 5), Answer.DONE, FIRST), do("get", None, "b", at=(6, 7)))[:3],
    "a push that overlaps the claim": (push((0, 9)), claim((1, 2))),
    "of two pushes at once, the later created": (
        push((0, 9), Pushed("a", created=False, state=State.READY)),
        push((1, 8)),
    ),
    "a push that was not answered, and was not carried out": (
        push((0, None), UNANSWERED, Push("a", b"never")),
        push((1, 2)),
        claim((3, 4)),
    ),
    "a push that was not answered, and was carried out late": (
        push((0, None), UNANSWERED),
        do("get", None, "a", at=(1, 2)),
        claim((3, 4)),
    ),
    "of two settlements at once, either": (
        *HELD,
        settle((4, 9), Answer.LOST, FIRST),
        settle((5, 8), Answer.DONE, FIRST, Retry()),
    ),
    "a settlement before the reclaim that it overlaps is lost after it": (
        *HELD,
        settle((4, 9), Answer.LOST, FIRST),
        reclaim((5, 8)),
    ),
    "a claim that was not heard, and repeated": (
        push((0, 1)),
        do("claim", UNANSWERED, 1, 90, "one", ONE, NO_BOUND, at=(2, 3)),
        claim((4, 5)),
    ),
    "a claim that was not heard, and taken over": (
        push((0, 1)),
        do("claim", UNANSWERED, 1, 90, "one", ONE, NO_BOUND, at=(2, 3)),
        reclaim((4, 5)),
    ),
    "a lease that was extended runs out later": (
        *HELD,
        do("extend", Answer.HELD, FIRST, 500, at=(4, 5)),
        reclaim((6, 7), lapsed_at=520, lease_until=700),
    ),
    "busy is no answer": (*HELD, do("extend", Answer.BUSY, FIRST, 500, at=(4, 5)), reclaim((6, 7))),
    "a redrive": (*FAILED, do("redrive", Answer.DONE, "a", at=(6, 7)), claim((8, 9), TWO, 6)),
    "a return is not counted": (*HELD, settle((4, 5), Answer.DONE, FIRST, Return()), claim((6, 7), TWO, 6)),
    "an id that was forgotten is new": (*FAILED, do("remove", Answer.DONE, "a", at=(6, 7)), push((8, 9))),
    "a destroyed queue knows nothing": (*HELD, do("destroy", None, at=(4, 9)), push((5, 8))),
}

ANOMALIES = {
    "a claim of nothing": (claim((0, 1)),),
    "a push that is created twice": (push((0, 1)), push((2, 3))),
    "a push that is created twice at once": (push((0, 9)), push((1, 8))),
    "a push of a job that nobody pushed": (push((0, 1), Pushed("a", created=False, state=State.READY)),),
    "a push that is told a state before": (*HELD, push((4, 5), Pushed("a", created=False, state=State.READY))),
    "a push that overwrites": (
        push((0, 1)),
        push((2, 3), Pushed("a", created=False, state=State.READY), Push("a", b"later")),
        claim((4, 5), payload=b"later"),
    ),
    "a job that is held twice": (*HELD, claim((4, 5), TWO, 6, attempt=2)),
    "a job that is held twice, claimed at once": (push((0, 1)), claim((2, 9)), claim((3, 8), TWO, 6)),
    "a job far ahead that is claimed": (
        push((0, 1), Pushed("a", created=True, state=State.SCHEDULED), replace(PUSH, delay=HOUR)),
        claim((2, 3)),
    ),
    "a claim that repeats with another token": (*HELD, claim((4, 5), ONE, 6)),
    "a fence that falls": (*HELD, settle((4, 5), Answer.DONE, FIRST, Return()), claim((6, 7), TWO, 4)),
    "an attempt too many": (push((0, 1)), claim((2, 3), attempt=2)),
    "a settlement by a stale token": (*TAKEN_OVER, settle((6, 7), Answer.DONE, FIRST)),
    "a settlement that is done twice": (
        *HELD,
        settle((4, 9), Answer.DONE, FIRST, Retry()),
        settle((5, 8), Answer.DONE, FIRST, Retry()),
    ),
    "a settlement that is refused, though current": (*HELD, settle((4, 5), Answer.LOST, FIRST)),
    "a settlement that is done and taken over": (
        *HELD,
        settle((4, 9), Answer.DONE, FIRST),
        reclaim((5, 8)),
    ),
    "an extension by a stale token": (*TAKEN_OVER, do("extend", Answer.HELD, FIRST, 90, at=(6, 7))),
    "an extension that is refused, though current": (*TAKEN_OVER, do("extend", Answer.LOST, SECOND, 90, at=(6, 7))),
    "a lease that is taken over as if it had not been extended": (
        *HELD,
        do("extend", Answer.HELD, FIRST, 500, at=(4, 5)),
        reclaim((6, 7)),
    ),
    "a lease that is taken over before it ends": (*HELD, reclaim((4, 5), lease_until=180)),
    "a loss that is not counted": (*HELD, reclaim((4, 5), lost=0)),
    "a redrive of a running job": (*HELD, do("redrive", Answer.DONE, "a", at=(4, 5))),
    "a redrive that is refused": (*FAILED, do("redrive", Answer.WRONG_STATE, "a", at=(6, 7))),
    "a redrive that keeps what was counted": (
        *FAILED,
        do("redrive", Answer.DONE, "a", at=(6, 7)),
        claim((8, 9), TWO, 6, attempt=2),
    ),
    "a removal of a running job": (*HELD, do("remove", Answer.DONE, "a", at=(4, 5))),
    "a removal of what is gone": (
        push((0, 1)),
        do("remove", Answer.DONE, "a", at=(2, 9)),
        do("remove", Answer.DONE, "a", at=(3, 8)),
    ),
    "an id that is forgotten too soon": (
        push((0, 1), push=replace(PUSH, remember=3600)),
        do("remove", Answer.DONE, "a", at=(2, 3)),
        push((4, 5)),
    ),
    "an acknowledged job that is gone": (push((0, 1)), do("get", None, "a", at=(2, 3))),
    "a destroyed job that is there": (push((0, 1)), do("destroy", None, at=(2, 3)), claim((4, 5))),
}


@pytest.mark.parametrize("name", POSSIBLE)
def test_what_can_have_been_passes(name: str) -> None:
    assert found(*POSSIBLE[name]) is None


@pytest.mark.parametrize("name", ANOMALIES)
def test_what_can_not_have_been_is_found(name: str) -> None:
    assert found(*ANOMALIES[name])


def test_it_is_told_as_a_table() -> None:
    wrong = found(push((0, 1)), claim((2, 9)), claim((3, 8), TWO, 6))
    assert wrong
    law, _, *table = told(wrong).splitlines()
    assert law.startswith("Broken is law 3, One holder: ")
    assert table == [
        "What was done to the job 'a', which was: ready, attempt 0, lost 0",
        "",
        "   began  ended  who  call                                   answer",
        "!  0      7      one  claim(1, 90, 'one', call(1), 1 << 40)  t0, attempt 1, lost 0, b'first'",
        "   1      6      one  claim(1, 90, 'one', call(2), 1 << 40)  t1, attempt 1, lost 0, b'first'",
        "",
        "Times are in µs. Each call has its effect at one moment between its two times, and no choice of such moments",
        "explains the answer that is marked: the job can only have been one of these.",
        "  running, attempt 1, lost 0, held by one with call 2",
    ]


def test_what_only_looked_is_left_out_where_it_is_not_needed() -> None:
    seen = do("get", Entry("a", State.READY, b"first", 0, 0, 0, 0, 0), "a", at=(2, 9))
    refused = (
        push((2, 12), Pushed("a", created=False, state=State.READY)),
        do("remove", Answer.WRONG_STATE, "a", at=(6, 9)),
        do("remove", Answer.MISSING, "a", at=(2, 10)),
    )
    wrong = found(push((0, 1)), *refused[:2], seen, claim((3, 14)), claim((4, 13), TWO, 6))
    assert wrong
    assert len(wrong.before) == 5
    left = shortest(wrong, after, looks)
    assert left.operation == wrong.operation
    assert sorted(one.verb for one in left.before) == ["claim", "claim"]
    gone = found(push((0, 1)), refused[0], refused[2])  # a refusal that is itself what can't be
    assert gone
    assert shortest(gone, after, looks).operation == refused[2]


class Sequential:
    """The suite's model of a queue in the place of a store. A call passes a microsecond."""

    def __init__(self) -> None:
        self.model = Model(1)

    def __getattr__(self, verb: str) -> Any:
        def call(_queue: str, *arguments: Any) -> Any:
            self.model.now += 1
            return getattr(self.model, verb)(*arguments)

        return call

    def claim(self, _queue: str, limit: int, lease: int, holder: str, call: bytes, max_bytes: int) -> Claimed:
        self.model.now += 1
        jobs, next_due = self.model.claim(limit, lease, holder, call, max_bytes)
        return Claimed([*map(self._given, jobs)], self.model.now, next_due)

    def reclaim(self, _queue: str, limit: int, lease: int, holder: str, call: bytes, of: str | None) -> list[Claim]:
        self.model.now += 1
        jobs = self.model.held(call)
        if not jobs:
            jobs = self.model.lapsed(of)[:limit]
            self.model.take_over(jobs, lease, holder, call)
        return [*map(self._given, jobs)]

    def get(self, _queue: str, ids: Sequence[str]) -> list[Entry | None]:
        found = map(self.model.find, ids)
        return [job and self.model.entry(job) for job in found]

    def pass_time(self) -> None:
        self.model.now += SHORT

    def _given(self, job: Any) -> Claim:
        return self.model.learn(job, SimpleNamespace(fence=job.last_fence + 1))


def histories(seed: int, stretch: int = 40) -> list[list[Operation]]:
    """What clients of a model did one after another, told as if at once: each call at some moment of its time."""
    chance, store = Random(seed), Sequential()
    hammers = [Hammer(store, "q", n, seed, [], int) for n in range(4)]
    hammers[0].pass_time = store.pass_time
    operations = [one for n in chance.choices(range(4), k=80) for one in new(hammers[n])]
    return [*by_job(stretched(one, 10 * at, chance, stretch) for at, one in enumerate(operations)).values()]


def new(hammer: Hammer) -> list[Operation]:
    before = len(hammer.strike(0))
    return hammer.strike(1)[before:]


def stretched(operation: Operation, at: int, chance: Random, stretch: int) -> Operation:
    return replace(operation, invoked=at - chance.randint(0, stretch), returned=at + chance.randint(0, stretch))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_what_a_model_does_passes(seed: int) -> None:
    for history in histories(seed):
        assert first_unexplained(history, Job(), after) is None


def falsified(operation: Operation) -> Operation:
    """The same with another answer."""
    match operation.answer:
        case Pushed():
            answer: Any = replace(operation.answer, created=not operation.answer.created)
        case Claim() | Entry():
            answer = replace(operation.answer, attempt=operation.answer.attempt + 1)
        case Answer():
            answer = {"settle": LOST_OR_DONE, "extend": LOST_OR_HELD}.get(operation.verb, REFUSED)[operation.answer]
        case _:
            answer = replace(ENTRY, id=operation.job)
    return replace(operation, answer=answer)


LOST_OR_DONE = {Answer.LOST: Answer.DONE, Answer.DONE: Answer.LOST}
LOST_OR_HELD = {Answer.LOST: Answer.HELD, Answer.HELD: Answer.LOST}
REFUSED = {
    Answer.DONE: Answer.MISSING,
    Answer.MISSING: Answer.DONE,
    Answer.WRONG_STATE: Answer.MISSING,
}
ENTRY = Entry("a", State.READY, b"", 0, 0, 0, 0, 0)


def test_most_of_what_is_false_is_found() -> None:
    tried = refused = 0
    for seed in range(100):
        chance = Random(seed)
        for history in histories(seed):
            telling = [at for at, one in enumerate(history) if told_something(one)]
            if not telling:
                continue
            wrong = chance.choice(telling)
            history[wrong] = falsified(history[wrong])
            found = first_unexplained(history, Job(), after)
            tried, refused = tried + 1, refused + bool(found)
            assert found is None or "\n!  " in told(found)
    assert refused > 0.9 * tried


def told_something(operation: Operation) -> bool:
    return operation.answer is not UNANSWERED and operation.verb != "destroy"
