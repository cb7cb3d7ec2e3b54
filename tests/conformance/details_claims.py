"""Fixed details: what claims and reclaims give, give again, and count."""

from __future__ import annotations

import pytest

from jobcore.backend import Answer, Fail, Retry, Return, State, Succeed
from jobcore.conformance.client import Client, new_call


class Claiming:
    """A claim takes up to `limit` due jobs, and `max_bytes` of payload but for the first."""

    def test_a_claim_tells_of_its_job(self, one: Client) -> None:
        call = new_call()
        one.push("a", payload=b"p", priority=7)
        (claim,) = one.claim(call=call, holder="me")
        assert (claim.id, claim.call, claim.payload, claim.priority) == ("a", call, b"p", 7)
        assert (claim.attempt, claim.lost, claim.lapsed_at) == (1, 0, None)
        entry = one.entry("a")
        assert (entry.state, entry.holder) == (State.RUNNING, "me")
        assert (entry.lease_until, entry.started_at) == (claim.lease_until, claim.started_at)

    @pytest.mark.parametrize(("max_bytes", "given"), [(0, 1), (9, 1), (10, 2), (24, 2), (25, 3), (26, 3), (34, 4)])
    def test_max_bytes_ends_a_claim_but_for_the_first_job(self, one: Client, max_bytes: int, given: int) -> None:
        for id, size in (("a", 5), ("b", 5), ("c", 15), ("d", 9)):
            one.push(id, payload=bytes(size))
        assert [claim.id for claim in one.claim(max_bytes=max_bytes)] == list("abcd")[:given]

    def test_max_bytes_skips_no_job_for_a_smaller_one(self, one: Client) -> None:
        for id, size in (("a", 5), ("big", 50), ("small", 1)):
            one.push(id, payload=bytes(size))
        assert [claim.id for claim in one.claim(max_bytes=10)] == ["a"]
        assert [claim.id for claim in one.claim(max_bytes=10)] == ["big"]

    @pytest.mark.parametrize("overdue", [0, 0.01])
    def test_max_bytes_skips_no_job_for_a_smaller_one_of_a_lower_priority(self, one: Client, overdue: float) -> None:
        for id, size, priority in (("a", 5, 1), ("big", 50, 1), ("small", 1, 0)):
            one.push(id, payload=bytes(size), priority=priority)
        one.elapse(overdue)
        for id in ("a", "big"):
            claimed = one.claimed(max_bytes=10)
            assert [claim.id for claim in claimed.claims] == [id]
            assert claimed.next_due == claimed.now

    def test_max_bytes_counts_across_priorities(self, one: Client) -> None:
        for priority in (3, 2, 1):
            one.push(f"{priority}", payload=bytes(10), priority=priority)
        assert [claim.id for claim in one.claim(max_bytes=20)] == ["3", "2"]

    def test_a_limit_holds_across_priorities(self, one: Client) -> None:
        for priority in (3, 2, 1):
            one.push(f"{priority}a", f"{priority}b", priority=priority)
        assert [claim.id for claim in one.claim(3)] == ["3a", "3b", "2a"]
        assert [claim.id for claim in one.claim(5)] == ["2b", "1a", "1b"]


class Repeating:
    """A repeated `claim` or `reclaim` whose `call` still holds jobs gives exactly those again and changes nothing."""

    def test_a_repeated_claim_gives_the_same(self, one: Client, two: Client) -> None:
        one.push("a", "b", "c", "d")
        call = new_call()
        first = one.claim(2, call=call)
        before = one.picture()
        for client, limit in ((one, 2), (two, 2), (one, 1), (two, 0), (one, 100)):
            assert client.claim(limit, call=call, lease=50, holder="another", max_bytes=0) == first
        assert one.picture() == before

    def test_a_repeated_claim_gives_them_in_their_order(self, one: Client) -> None:
        for n in (3, 1, 2, 5, 4):
            one.push(f"{n}", priority=n)
        call = new_call()
        first = one.claim(call=call)
        assert [claim.id for claim in one.claim(call=call)] == [claim.id for claim in first] == list("54321")

    def test_a_repeated_claim_gives_what_is_still_held(self, one: Client) -> None:
        one.push("a", "b", "c")
        call = new_call()
        a, b, c = one.claim(call=call)
        one.settle(Retry(), b)
        assert one.claim(call=call) == [a, c]

    def test_a_repeated_claim_tells_of_the_extended_lease(self, one: Client) -> None:
        call = new_call()
        one.push("a")
        (first,) = one.claim(call=call)
        one.extend(first.hold, lease=50)
        (again,) = one.claim(call=call)
        assert again.lease_until == one.entry("a").lease_until
        assert again.hold == first.hold

    def test_a_call_that_holds_nothing_is_a_new_one(self, one: Client) -> None:
        call = new_call()
        assert one.claim(call=call) == []
        one.push("a", "b")
        (first,) = one.claim(1, call=call)
        one.settle(Retry(), first)
        second, third = one.claim(call=call)
        assert (second.id, third.id, third.attempt) == ("b", "a", 2)
        assert third.fence > first.fence
        assert one.settle(Succeed(), first) == [Answer.LOST]

    def test_a_call_whose_jobs_were_settled_together_holds_nothing(self, one: Client) -> None:
        call = new_call()
        one.push("a", "b", "c")
        one.settle(Succeed(), *one.claim(2, call=call))
        assert [claim.id for claim in one.claim(call=call)] == ["c"]

    def test_what_others_hold_by_now_is_not_given_again(self, one: Client, two: Client) -> None:
        one.push("a", "b", "c")
        call = new_call()
        claims = one.claim(call=call)
        (taken,) = two.reclaim(1, of=one.holder)
        retried, kept = [claim for claim in claims if claim.id != taken.id]
        one.settle(Retry(), retried)
        assert [claim.id for claim in two.claim()] == [retried.id]
        assert one.claim(call=call) == [kept]

    def test_a_call_that_was_given_nothing_is_a_new_one(self, one: Client) -> None:
        call = new_call()
        one.push("later", delay=5)
        assert one.claim(call=call) == one.reclaim(call=call) == []
        one.push("now")
        assert [claim.id for claim in one.claim(call=call)] == ["now"]

    def test_what_was_taken_over_is_not_given_again(self, one: Client, two: Client) -> None:
        one.push("a", "b")
        call = new_call()
        one.claim(1, call=call, lease=1)
        one.elapse(1)
        two.reclaim()
        assert [claim.id for claim in one.claim(call=call)] == ["b"]

    def test_a_claim_is_repeated_after_its_lease_ran_out(self, one: Client) -> None:
        call = new_call()
        one.push("a")
        first = one.claim(call=call, lease=1)
        one.elapse(5)
        assert one.claim(call=call) == first

    def test_a_repeated_reclaim_gives_the_same(self, one: Client, two: Client) -> None:
        one.push("a", "b", "c")
        for lease in (1, 2, 3):
            one.claim(1, lease=lease)
        one.elapse(3)
        call = new_call()
        first = two.reclaim(2, call=call)
        before = one.picture()
        for client, limit in ((two, 2), (one, 0), (two, 100)):
            assert client.reclaim(limit, call=call, lease=50, holder="another") == first
        assert one.picture() == before
        assert [claim.id for claim in two.reclaim()] == ["c"]

    def test_a_repeated_reclaim_from_a_holder_gives_the_same(self, one: Client, two: Client) -> None:
        one.push("a", "b")
        one.claim()
        call = new_call()
        first = two.reclaim(call=call, of=one.holder)
        assert two.reclaim(call=call, of=one.holder) == first
        assert [claim.lost for claim in first] == [1, 1]


class Reclaiming:
    """A reclaim takes over running jobs whose lease has run out, the longest ago first, or a dead holder's."""

    def test_a_repeat_is_in_the_order_of_the_first_answer(self, one: Client) -> None:
        one.push("pushed first")
        one.claim(lease=2)
        one.push("lost first")
        one.claim(lease=1)
        one.elapse(2)
        call = new_call()
        assert [claim.id for claim in one.reclaim(call=call)] == ["lost first", "pushed first"]
        assert [claim.id for claim in one.reclaim(call=call)] == ["lost first", "pushed first"]

    def test_a_lease_is_over_when_its_end_has_come(self, one: Client, two: Client) -> None:
        claim = one.take("a")
        one.reach_before(claim.lease_until)
        assert two.reclaim() == []
        one.reach(claim.lease_until)
        assert [again.id for again in two.reclaim()] == ["a"]

    def test_a_live_lease_is_not_taken_over(self, one: Client, two: Client) -> None:
        one.take("a")
        assert two.reclaim() == []

    def test_an_extended_lease_is_not_taken_over(self, one: Client, two: Client) -> None:
        claim = one.take("a")
        one.extend(claim.hold, lease=30)
        one.reach(claim.lease_until)
        assert two.reclaim() == []

    def test_the_longest_ago_comes_first(self, one: Client, two: Client) -> None:
        one.push("a", "b", "c", "d")
        for lease in (4, 2, 3, 1):
            one.claim(1, lease=lease)
        one.elapse(4)
        got = [[claim.id for claim in two.reclaim(limit)] for limit in (1, 2, 9)]
        assert got == [["d"], ["b", "c"], ["a"]]

    def test_a_reclaim_tells_what_happened(self, one: Client, two: Client) -> None:
        old = one.take("a", payload=b"p", priority=3)
        one.elapse(12)
        call, before = new_call(), one.now()
        (new,) = two.reclaim(call=call, lease=5, holder="monitor")
        assert (new.id, new.call, new.payload, new.priority) == ("a", call, b"p", 3)
        assert (new.attempt, new.lost, new.lapsed_at) == (1, 1, old.lease_until)
        assert (new.pushed_at, new.started_at) == (old.pushed_at, old.started_at)
        assert before + one.units(5) <= new.lease_until <= one.now() + one.units(5)
        entry = one.entry("a")
        assert (entry.state, entry.attempt, entry.lost) == (State.RUNNING, 1, 1)
        assert (entry.holder, entry.lease_until, entry.started_at) == ("monitor", new.lease_until, old.started_at)

    def test_a_dead_holders_jobs_are_taken_before_their_leases_end(self, one: Client, two: Client) -> None:
        one.push("a", "b", "c", "d")
        one.claim(1, holder="dead", lease=9)
        one.claim(1, holder="dea")
        one.claim(1, holder="dead", lease=5)
        one.claim(1, holder="deader")
        end = one.entry("c").lease_until
        first, second = two.reclaim(of="dead")
        assert (first.id, second.id) == ("c", "a")
        assert (first.lost, first.lapsed_at) == (1, end)
        assert one.ids(State.RUNNING) == ["a", "b", "c", "d"]
        assert one.entry("b").lost == one.entry("d").lost == 0

    def test_a_dead_holders_jobs_are_taken_after_their_leases_end(self, one: Client, two: Client) -> None:
        one.push("a", "b")
        one.claim(1, holder="dead", lease=1)
        one.claim(1, holder="other", lease=1)
        one.elapse(2)
        assert [claim.id for claim in two.reclaim(of="dead")] == ["a"]
        assert [claim.id for claim in two.reclaim()] == ["b"]

    def test_who_holds_nothing_loses_nothing(self, one: Client, two: Client) -> None:
        one.take("a")
        before = one.picture()
        assert two.reclaim(of="nobody") == []
        assert one.picture() == before

    def test_what_was_taken_from_a_holder_is_no_longer_its(self, one: Client, two: Client) -> None:
        one.push("a", "b")
        one.claim()
        assert len(two.reclaim(1, of=one.holder)) == 1
        assert len(two.reclaim(of=one.holder)) == 1
        assert two.reclaim(of=one.holder) == []
        assert len(one.reclaim(of=two.holder)) == 2

    def test_each_lease_that_ends_is_counted(self, one: Client, two: Client) -> None:
        one.take("a")
        for lost in (1, 2, 3):
            one.elapse(10)
            (claim,) = (two, one)[lost % 2].reclaim()
            assert (claim.attempt, claim.lost) == (1, lost)

    def test_only_running_jobs_are_taken_over(self, one: Client, two: Client) -> None:
        for state in State:
            if state not in {State.READY, State.RUNNING}:
                one.put(state.value, state)
        one.settle(Return(), one.take("returned"))
        one.elapse(15)
        assert two.reclaim() == two.reclaim(of=one.holder) == []


class Attempts:
    """Attempts are counted from 1; a Return's is not counted; a redrive begins anew."""

    def test_a_retry_counts(self, one: Client) -> None:
        one.push("a")
        for attempt in (1, 2, 3):
            (claim,) = one.claim()
            assert claim.attempt == one.entry("a").attempt == attempt
            one.settle(Retry(), claim)
            assert one.entry("a").attempt == attempt

    def test_a_return_does_not_count(self, one: Client) -> None:
        one.push("a")
        one.settle(Retry(), *one.claim())
        for _ in range(3):
            (claim,) = one.claim()
            assert claim.attempt == 2
            one.settle(Return(), claim)
            assert one.entry("a").attempt == 1

    def test_losses_stay_until_a_redrive(self, one: Client, two: Client) -> None:
        one.take("a")
        two.settle(Return(), *two.reclaim(of=one.holder))
        (claim,) = one.claim()
        assert (claim.attempt, claim.lost) == (1, 1)
        one.settle(Retry(), claim)
        (claim,) = one.claim()
        assert (claim.attempt, claim.lost) == (2, 1)
        one.settle(Fail(), claim)
        assert one.entry("a").lost == 1
        one.redrive("a")
        (claim,) = one.claim()
        assert (claim.attempt, claim.lost) == (1, 0)

    @pytest.mark.parametrize("state", [State.FAILED, State.TIMED_OUT, State.BROKEN])
    def test_a_redrive_begins_anew_and_keeps_what_was_pushed(self, one: Client, state: State) -> None:
        pushed = one.take("a", payload=b"p", priority=4)
        one.settle(Fail(state, "why"), pushed)
        one.elapse(3)
        assert one.redrive("a") == [Answer.DONE]
        entry = one.entry("a")
        assert (entry.state, entry.attempt, entry.lost, entry.reason) == (State.READY, 0, 0, None)
        assert (entry.started_at, entry.finished_at, entry.lease_until, entry.holder) == (None,) * 4
        assert (entry.payload, entry.priority, entry.pushed_at) == (b"p", 4, pushed.pushed_at)

    @pytest.mark.parametrize("state", [State.READY, State.SCHEDULED, State.RUNNING, State.SUCCEEDED])
    def test_nothing_else_is_redriven(self, one: Client, state: State) -> None:
        one.put("a", state)
        before = one.picture()
        assert one.redrive("a") == [Answer.WRONG_STATE]
        assert one.picture() == before

    @pytest.mark.parametrize("state", State)
    def test_anything_but_a_running_job_is_removed(self, one: Client, state: State) -> None:
        one.put("a", state)
        running = state is State.RUNNING
        assert one.remove("a") == [Answer.WRONG_STATE if running else Answer.DONE]
        assert (one.backend.get("q", ["a"]) == [None]) is not running
        assert sum(len(one.ids(state)) for state in State) == running

    def test_the_reason_is_the_last_ones(self, one: Client) -> None:
        one.push("a")
        assert one.entry("a").reason is None
        one.settle(Retry(0, "first"), *one.claim())
        assert one.entry("a").reason == "first"
        (claim,) = one.claim()
        assert one.entry("a").reason == "first"
        one.settle(Return(), claim)
        assert one.entry("a").reason == "first"
        one.settle(Retry(0, "second"), *one.claim())
        assert one.entry("a").reason == "second"
        one.settle(Succeed(), *one.claim())
        assert one.entry("a").reason is None

    @pytest.mark.parametrize("reason", ["", "why", "ü 🐘 \n\t\"'\\"])
    def test_a_reason_comes_back_as_it_was_given(self, one: Client, reason: str) -> None:
        one.settle(Fail(State.FAILED, reason), one.take("a"))
        assert one.entry("a").reason == reason
