"""The model is itself right: the state table, told by hand."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from jobcore.backend import (
    MOVES,
    Answer,
    Claim,
    Counts,
    Fail,
    Hold,
    Keep,
    Move,
    Push,
    Pushed,
    Retry,
    Return,
    State,
    Succeed,
)
from jobcore.conformance.model import Job, Model

CALL = b"the caller's own"
OTHER = b"somebody else's "
SECOND = 1_000_000
NO_BOUND = 1 << 40
ROOMY = Keep(1000, 1000)


@pytest.fixture
def model() -> Model:
    return Model(now=1000 * SECOND)


def ids(jobs: list[Job]) -> list[str]:
    return [job.push.id for job in jobs]


def claim(
    model: Model, limit: int = 9, *, lease: int = SECOND, call: bytes = CALL, max_bytes: int = NO_BOUND
) -> list[Job]:
    return model.claim(limit, lease, "holder", call, max_bytes)[0]


def hold(model: Model, id: str, fence: int) -> Hold:
    """Have the store tell of a running job's fence."""
    job = model.find(id)
    assert job
    told = Claim(id, b"", fence, b"", 0, 0, 0, 0, 0, 0)
    return model.learn(job, told).hold


def take(model: Model, *names: str) -> list[Hold]:
    """Push and claim."""
    model.push([Push(name, b"") for name in names])
    claim(model)
    return [hold(model, name, model.now + n) for n, name in enumerate(names)]


def test_a_job_is_ready_at_its_place(model: Model) -> None:
    answers = model.push([Push("a", b""), Push("b", b"", delay=5), Push("c", b"", run_at=1), Push("a", b"again")])
    assert [(answer.created, answer.state) for answer in answers] == [
        (True, State.READY),
        (True, State.SCHEDULED),
        (True, State.READY),
        (False, State.READY),
    ]
    assert ids(model.listed(State.READY)) == ["a", "c"]
    assert model.deadlines() == [model.now + 5]
    model.now += 5
    assert ids(model.listed(State.READY)) == ["a", "c", "b"]
    assert model.listed(State.SCHEDULED) == []


def test_claims_are_by_priority_then_place_then_turn(model: Model) -> None:
    model.push([Push("low", b"", priority=-1), Push("b", b""), Push("a", b""), Push("high", b"", priority=2)])
    model.push([Push("past", b"", run_at=0), Push("later", b"", priority=9, delay=1)])
    assert ids(claim(model)) == ["high", "b", "a", "past", "low"]


@pytest.mark.parametrize(
    ("limit", "max_bytes", "taken"), [(0, 9, ""), (1, 9, "a"), (9, 0, "a"), (9, 4, "ab"), (9, 9, "abc")]
)
def test_a_claim_stops_at_its_bounds(model: Model, limit: int, max_bytes: int, taken: str) -> None:
    model.push([Push(id, b"12") for id in "abc"])
    jobs, next_due = model.claim(limit, SECOND, "h", CALL, max_bytes)
    assert ids(jobs) == list(taken)
    assert next_due == (None if taken == "abc" else model.now)


def test_next_due_is_the_first_place_ahead(model: Model) -> None:
    model.push([Push("a", b"", delay=7), Push("b", b"", priority=-9, delay=3)])
    assert model.claim(9, SECOND, "h", CALL, 9) == ([], model.now + 3)


def test_a_call_that_holds_jobs_is_given_them_again(model: Model) -> None:
    model.push([Push(id, b"") for id in "abc"])
    assert ids(claim(model, 2)) == ids(claim(model, 9)) == ["a", "b"]
    assert ids(claim(model, call=OTHER)) == ["c"]


def test_a_token_is_current_once_its_fence_is_known(model: Model) -> None:
    model.push([Push("a", b"")])
    claim(model)
    assert model.extend([Hold("a", CALL, 7)], 1) == [Answer.LOST]
    current = hold(model, "a", 7)
    assert model.extend([current, replace(current, fence=8), replace(current, call=OTHER)], 1) == [
        Answer.HELD,
        Answer.LOST,
        Answer.LOST,
    ]


def test_a_fence_that_does_not_rise_is_found(model: Model) -> None:
    (first,) = take(model, "a")
    model.settle([(first, Retry())], ROOMY)
    claim(model, call=OTHER)
    with pytest.raises(AssertionError, match="rise"):
        hold(model, "a", first.fence)


def test_a_success_leaves_or_stays_as_the_cap_says(model: Model) -> None:
    a, b, c = take(model, "a", "b", "c")
    model.settle([(a, Succeed(b"1")), (b, Succeed())], Keep(0, 2))
    assert ids(model.listed(State.SUCCEEDED)) == ["b", "a"]
    model.settle([(c, Succeed())], Keep(9, 0))
    assert model.jobs == []


def test_failed_and_timed_out_share_a_cap_and_broken_has_none(model: Model) -> None:
    a, b, c, d = take(model, "a", "b", "c", "d")
    model.settle([(a, Fail(State.BROKEN)), (b, Fail()), (c, Fail(State.TIMED_OUT)), (d, Fail())], Keep(failed=2))
    assert model.counts() == Counts(failed=1, timed_out=1, broken=1)
    assert model.find("b") is None


def test_a_retry_has_a_new_place_and_a_return_its_old_one(model: Model) -> None:
    a, b = take(model, "a", "b")
    model.push([Push("c", b"")])
    model.settle([(a, Retry(0, "again")), (b, Return())], ROOMY)
    assert ids(model.listed(State.READY)) == ["b", "c", "a"]
    assert [(job.attempt, job.reason) for job in model.listed(State.READY)] == [(0, None), (0, None), (1, "again")]


def test_a_settled_token_is_lost(model: Model) -> None:
    (a,) = take(model, "a")
    assert model.settle([(a, Retry()), (a, Succeed())], ROOMY) == [Answer.DONE, Answer.LOST]


def test_a_lease_that_ran_out_may_be_taken_over(model: Model) -> None:
    model.push([Push(id, b"") for id in "abc"])
    for lease in (3, 1, 2):
        claim(model, 1, lease=lease, call=bytes([lease]) * 16)
    model.now += 2
    assert ids(model.lapsed(None)) == ["b", "c"]
    assert ids(model.lapsed("holder")) == ["b", "c", "a"]
    assert model.lapsed("another") == []
    started_at = model.listed(State.RUNNING)[0].started_at
    model.take_over(model.lapsed(None)[:1], 9, "monitor", OTHER)
    (job,) = model.held(OTHER)
    entry = model.entry(job)
    assert (entry.id, entry.lost, entry.attempt, entry.started_at) == ("b", 1, 1, started_at)
    assert (entry.holder, entry.lease_until) == ("monitor", model.now + 9)
    assert job.run
    assert job.run.lapsed_at == model.now - 1


def test_an_id_is_remembered_for_its_time(model: Model) -> None:
    model.push([Push("a", b"", remember=1), Push("b", b"")])
    assert model.remove(["a", "b", "a"]) == [Answer.DONE, Answer.DONE, Answer.MISSING]
    again = [Push("a", b""), Push("b", b"")]
    assert model.push(again) == [Pushed("a", created=False, state=None), Pushed("b", created=True, state=State.READY)]
    model.now += SECOND
    assert model.push(again[:1])[0].created


def test_a_redrive_begins_anew(model: Model) -> None:
    (a,) = take(model, "a")
    model.settle([(a, Fail(reason="no"))], ROOMY)
    assert model.redrive(["a", "a", "none"]) == [Answer.DONE, Answer.WRONG_STATE, Answer.MISSING]
    (job,) = model.listed(State.READY)
    entry = model.entry(job)
    assert (entry.attempt, entry.lost, entry.reason, entry.started_at, entry.finished_at) == (0, 0, None, None, None)


def test_a_running_job_is_not_removed_but_destroyed(model: Model) -> None:
    take(model, "a")
    assert model.remove(["a"]) == [Answer.WRONG_STATE]
    model.destroy()
    assert model.counts() == Counts()
    assert model.push([Push("a", b"")])[0].created


@pytest.mark.parametrize("move", [move for move in MOVES if move.verb == "settle"], ids=lambda move: move.outcome)
def test_a_settlement_ends_where_the_state_table_says(model: Model, move: Move) -> None:
    outcomes = {
        "Succeed": Succeed(),
        "Retry": Retry(),
        "Return": Return(),
        **{f"Fail({state.name})": Fail(state) for state in (State.FAILED, State.TIMED_OUT, State.BROKEN)},
    }
    (a,) = take(model, "a")
    model.settle([(a, outcomes[move.outcome])], ROOMY)
    job = model.find("a")
    assert job
    assert job.state is move.after
