"""Laws 10 and 11: neither queues nor the items of a batch disturb their neighbours."""

from __future__ import annotations

import pytest

from jobcore.backend import Answer, Counts, Fail, Keep, Outcome, Pushed, Retry, Return, State, Succeed
from jobcore.conformance.client import ROOMY, Client, new_call
from jobcore.conformance.harness import Harness, Look
from jobcore.conformance.outages import NO_LOOK, Record, variant

NEIGHBOURS = ["a", "A", "aa", "a.b", "a-b", "a_b", "a.", ".a", "x" * 200, "x" * 199 + "y"]

LARGE = 9000
"""More than the 8,000 values that a Lua stack holds."""


class Law10Apart:
    """10. Queues don't touch each other, nor do two prefixes or schemas on one server."""

    def test_one_id_is_another_job_in_each_queue(self, one: Client) -> None:
        queues = NEIGHBOURS
        for queue in queues:
            assert one.push("id", queue=queue, payload=queue.encode())[0].created
        for queue in queues:
            assert [claim.payload for claim in one.claim(queue=queue)] == [queue.encode()]

    @pytest.mark.parametrize("queue", NEIGHBOURS)
    def test_what_is_done_in_a_queue_is_not_seen_in_its_neighbours(self, one: Client, queue: str) -> None:
        others = [other for other in NEIGHBOURS if other != queue]
        for other in others:
            _fill(one, other)
        before = {other: one.picture(other) for other in others}
        _fill(one, queue)
        one.redrive("failed", "broken", queue=queue)
        failed, broken = one.claim(queue=queue)
        one.settle(Succeed(), failed, queue=queue, keep=Keep(0, 0))
        one.settle(Fail(), broken, queue=queue, keep=Keep(0, 0))
        one.reclaim(queue=queue, of=one.holder)
        one.remove("scheduled", queue=queue)
        assert {other: one.picture(other) for other in others} == before
        one.backend.destroy(queue)
        assert one.counts(queue) == Counts()
        assert {other: one.picture(other) for other in others} == before

    def test_one_call_may_be_used_in_two_queues(self, one: Client) -> None:
        one.push("a")
        one.push("b", queue="r")
        call = new_call()
        assert [claim.id for claim in one.claim(call=call)] == ["a"]
        assert [claim.id for claim in one.claim(call=call, queue="r")] == ["b"]
        assert [claim.id for claim in one.claim(call=call)] == ["a"]

    def test_an_id_is_remembered_in_its_queue_alone(self, one: Client) -> None:
        for queue in ("q", "r"):
            one.push("a", queue=queue, remember=1000)
        one.remove("a")
        assert one.push("a", queue="q")[0].state is None
        assert one.push("a", queue="r")[0].state is State.READY
        one.remove("a", queue="r")
        one.backend.destroy("q")
        assert one.push("a", queue="r") == [Pushed("a", created=False, state=None)]

    def test_a_holder_is_reclaimed_from_in_one_queue_alone(self, one: Client, two: Client) -> None:
        for queue in ("q", "r"):
            one.push("a", queue=queue)
        held = one.claim(queue="r")[0].hold
        one.claim()
        assert [claim.id for claim in two.reclaim(of=one.holder)] == ["a"]
        assert one.extend(held, queue="r") == [Answer.HELD]

    def test_a_queue_that_is_destroyed_leaves_no_trace(
        self, harness: Harness, one: Client, two: Client, record_property: Record
    ) -> None:
        _fill(one, "q")
        one.push("forgotten", "a", remember=1000)
        one.remove("forgotten")
        two.claim()
        seen = harness.look("q")
        two.backend.destroy("q")
        assert two.counts() == Counts()
        assert one.push("forgotten", delay=1)[0].created
        one.backend.destroy("q")
        if seen is None:
            variant(record_property, NO_LOOK)
        else:
            assert seen.traces, "the harness sees no trace of a queue that is full"
            assert harness.look("q") == Look({}, [])

    def test_two_stores_of_one_server_are_apart(self, harness: Harness, one: Client, record_property: Record) -> None:
        backend = harness.apart()
        if backend is None:
            variant(record_property, "two queues were kept apart, and no two stores of one server")
        other = Client(backend, harness, "other") if backend else one
        queue = "q" if backend else "another"
        _fill(one, "q")
        before = one.picture()
        _fill(other, queue)
        other.backend.destroy(queue)
        assert one.picture() == before
        assert other.counts(queue) == Counts()
        if backend:
            backend.close()


class Law11PerItem:
    """11. Batches are per item.

    A bad item (or a NUL in an error message) neither blocks nor undoes its neighbours. A batch means its items
    one after another.
    """

    def test_a_bad_settlement_leaves_its_neighbours_alone(self, one: Client) -> None:
        one.push("a", "b", "c", "d")
        a, b, c, d = one.claim()
        one.settle(Return(), b)
        outcomes: list[Outcome] = [Succeed(), Succeed(), Fail(reason="\0"), Retry(0, "\ud800")]
        settlements = [(claim.hold, outcome) for claim, outcome in zip((a, b, c, d), outcomes, strict=True)]
        answers = one.backend.settle("q", settlements, ROOMY)
        assert answers == [Answer.DONE, Answer.LOST, Answer.DONE, Answer.DONE]
        assert {id: one.entry(id).state.value for id in "abcd"} == {
            "a": "succeeded", "b": "ready", "c": "failed", "d": "ready",
        }  # fmt: skip

    def test_all_outcomes_go_together_in_one_batch(self, one: Client) -> None:
        outcomes: list[Outcome] = [
            Succeed(b"1"), Succeed(), Retry(), Retry(one.units(5), "later"), Return(),
            Fail(State.FAILED, "f"), Fail(State.TIMED_OUT, "t"), Fail(State.BROKEN, "b"),
        ]  # fmt: skip
        one.push(*[f"{n}" for n in range(len(outcomes))])
        settlements = [(claim.hold, outcome) for claim, outcome in zip(one.claim(), outcomes, strict=True)]
        assert one.backend.settle("q", settlements, ROOMY) == [Answer.DONE] * len(outcomes)
        assert [one.ids(state) for state in State] == [["4", "2"], ["3"], [], ["1", "0"], ["5"], ["6"], ["7"]]

    def test_a_second_settlement_in_the_batch_is_lost(self, one: Client) -> None:
        hold = one.take("a").hold
        answers = one.backend.settle("q", [(hold, Fail(reason="no")), (hold, Succeed())], ROOMY)
        assert answers == [Answer.DONE, Answer.LOST]
        assert one.entry("a").reason == "no"

    def test_a_hold_may_be_extended_twice_in_a_batch(self, one: Client) -> None:
        hold = one.take("a").hold
        assert one.extend(hold, hold) == [Answer.HELD] * 2

    def test_extending_is_per_item(self, one: Client) -> None:
        one.push("a", "b", "c")
        a, b, c = one.claim()
        one.settle(Succeed(), b)
        assert one.extend(a.hold, b.hold, c.hold, lease=50) == [Answer.HELD, Answer.LOST, Answer.HELD]
        assert one.entry("a").lease_until == one.entry("c").lease_until != c.lease_until

    def test_redriving_is_per_item(self, one: Client) -> None:
        one.put("failed", State.FAILED)
        one.put("broken", State.BROKEN)
        one.put("later", State.SCHEDULED)
        answers = one.redrive("failed", "missing", "later", "failed", "broken")
        assert [answer.value for answer in answers] == ["done", "missing", "wrong_state", "wrong_state", "done"]
        assert one.ids(State.READY) == ["failed", "broken"]

    def test_removing_is_per_item(self, one: Client) -> None:
        one.put("failed", State.FAILED)
        one.put("running", State.RUNNING)
        one.push("ready")
        answers = one.remove("failed", "missing", "running", "failed", "ready")
        assert [answer.value for answer in answers] == ["done", "missing", "wrong_state", "missing", "done"]
        assert [state for state in State if one.ids(state)] == [State.RUNNING]

    @pytest.mark.parametrize(
        ("reason", "stored"),
        [("a\0b", "ab"), ("\ud800!", "?!"), ("\0", ""), ("é" * 5000, "é" * 2048), ("x" * 4097, "x" * 4096)],
    )
    def test_a_reason_that_stores_refuse_is_cleaned(self, one: Client, reason: str, stored: str) -> None:
        one.settle(Fail(State.FAILED, reason), one.take("failed"))
        one.settle(Retry(one.units(5), reason), one.take("retried"))
        assert one.entry("failed").reason == one.entry("retried").reason == stored

    def test_a_large_batch_is_one_batch(self, one: Client) -> None:
        ids = [f"{n}" for n in range(LARGE)]
        assert all(pushed.created for pushed in one.push(*ids))
        claims = one.claim(LARGE)
        assert [claim.id for claim in claims] == ids
        assert one.extend(*[claim.hold for claim in claims]) == [Answer.HELD] * LARGE
        claims = one.reclaim(LARGE, of=one.holder)
        assert len(claims) == len(one.backend.peek("q", State.RUNNING, LARGE).entries) == LARGE
        assert one.settle(Fail(), *claims, keep=Keep(failed=LARGE)) == [Answer.DONE] * LARGE
        assert one.redrive(*ids) == [Answer.DONE] * LARGE
        assert [entry.id if entry else None for entry in one.backend.get("q", ids)] == ids
        assert one.remove(*ids) == [Answer.DONE] * LARGE
        assert one.counts() == Counts()


def _fill(client: Client, queue: str) -> None:
    """Have a job in each state but READY."""
    for state in State:
        if state is not State.READY:
            client.put(state.value, state, queue=queue)
