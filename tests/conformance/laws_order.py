"""Laws 6 and 7: what is claimed, in which order, and that claiming nothing changes nothing."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from jobcore.backend import Fail, Keep, Push, Retry, Return, State, Succeed
from jobcore.conformance.client import Client
from jobcore.conformance.threads import together

PRIORITIES = [100, 99, 11, 10, 9, 2, 1, 0, -1, -2, -9, -10, -11, -99, -100]
"""In their order, which is that of no text."""


class Law6Ordered:
    """6. Ordered by the key `(-priority, place, seq)` among jobs ready at the claim, never a job before its time.

    A job whose push committed late is found within two seconds.
    """

    def test_higher_priorities_come_first(self, one: Client) -> None:
        pushes = [Push(f"{n}", b"", priority=n) for n in sorted(PRIORITIES, key=str)]
        one.backend.push("q", pushes)
        assert one.ids(State.READY) == [f"{n}" for n in PRIORITIES]
        assert [claim.priority for claim in one.claim()] == PRIORITIES

    def test_of_one_priority_what_came_first_comes_first(self, one: Client, two: Client) -> None:
        one.push("z", "y")
        two.push("x", "w")
        one.push("v")
        assert _claimed(two) == ["z", "y", "x", "w", "v"]

    def test_a_batch_keeps_its_order(self, one: Client) -> None:
        ids = [f"{n * 7919 % 1000}" for n in range(1000)]
        one.push(*ids)
        assert _claimed(one, 300) == ids[:300]
        assert _claimed(one, 1000) == ids[300:]

    def test_a_batch_keeps_its_order_where_an_id_was_known_before(self, one: Client) -> None:
        one.push("b", remember=1)
        one.remove("b")
        one.reach(one.now() + 1_000_000)
        assert [pushed.created for pushed in one.push("b", "a")] == [True, True]
        assert [claim.id for claim in one.claim()] == ["b", "a"]

    def test_a_batch_keeps_its_order_when_it_comes_due(self, one: Client) -> None:
        ids = [f"{n * 7 % 20}" for n in range(20)]
        one.push(*ids, delay=5)
        one.elapse(5)
        assert _claimed(one) == ids

    def test_claims_follow_each_other_in_order(self, one: Client, two: Client) -> None:
        one.backend.push("q", [Push(f"{n}", b"", priority=n % 3) for n in range(12)])
        got = [id for client in (one, two, one, two) for id in _claimed(client, 3)]
        assert got == [f"{n}" for band in (2, 1, 0) for n in range(12) if n % 3 == band]

    def test_a_delayed_job_waits_for_its_time(self, one: Client, two: Client) -> None:
        one.push("a", delay=5)
        place = one.entry("a").place
        one.reach_before(place)
        assert two.claim() == []
        one.reach(place)
        assert _claimed(two) == ["a"]

    def test_a_job_for_a_time_to_come_waits_for_it(self, one: Client, two: Client) -> None:
        run_at = one.now() + one.units(5)
        one.push("a", run_at=run_at)
        assert one.entry("a").place == run_at
        one.reach_before(run_at)
        assert two.claim() == []
        one.reach(run_at)
        assert _claimed(two) == ["a"]

    def test_a_time_that_has_passed_means_now(self, one: Client) -> None:
        one.push("first")
        one.push("second", run_at=one.now() - one.units(100))
        one.push("third", run_at=0)
        assert _claimed(one) == ["first", "second", "third"]

    def test_what_comes_due_stands_among_the_others_by_its_time(self, one: Client) -> None:
        one.push("late", delay=10)
        one.push("soon", delay=5)
        assert one.claimed().next_due == one.entry("soon").place
        one.elapse(6)
        one.push("now")
        assert _claimed(one) == ["soon", "now"]
        assert one.claimed().next_due == one.entry("late").place

    def test_the_order_stands_when_some_have_been_removed(self, one: Client) -> None:
        for delay in (1, 10, 2, 11, 12, 3, 4):
            one.push(f"{delay}", delay=delay)
        one.remove("1", "2")
        one.elapse(12)
        assert _claimed(one) == ["3", "4", "10", "11", "12"]

    def test_a_job_that_came_due_stands_at_the_time_it_was_due(self, one: Client) -> None:
        one.push("due in 5", delay=5)
        one.push("now")
        one.elapse(10)
        one.push("in 10")
        assert _claimed(one) == ["now", "due in 5", "in 10"]

    def test_what_is_not_due_holds_up_nothing(self, one: Client) -> None:
        one.push("urgent, but later", priority=100, delay=5)
        one.push("later", delay=5)
        one.push("now", priority=-100)
        assert _claimed(one) == ["now"]
        one.elapse(5)
        assert _claimed(one) == ["urgent, but later", "later"]

    def test_a_returned_job_has_its_old_place(self, one: Client) -> None:
        one.push("a", "b", "c")
        a, b = one.claim(2)
        one.elapse(1)
        one.settle(Return(), b)
        one.settle(Return(), a)
        assert _claimed(one) == ["a", "b", "c"]

    def test_a_returned_job_stands_between_those_before_and_behind_it(self, one: Client) -> None:
        one.push("a", "b", "c")
        a, b, _ = one.claim()
        one.settle(Return(), a)
        one.push("d")
        one.settle(Return(), b)
        assert _claimed(one) == ["a", "b", "d"]

    def test_jobs_returned_by_another_client_have_their_old_places(self, one: Client, two: Client) -> None:
        for id in "abcde":
            one.push(id)
            one.elapse(1)
        two_has = two.claim(2)
        assert _claimed(one, 2) == ["c", "d"]
        two.settle(Return(), *two_has)
        assert _claimed(one, 1) == ["a"]
        assert _claimed(one) == ["b", "e"]

    def test_a_job_recovered_by_a_monitor_has_its_old_place(self, one: Client, two: Client) -> None:
        one.push("a", "b")
        one.claim(1, lease=5)
        one.elapse(5)
        one.push("c")
        two.settle(Return(), *two.reclaim())
        assert _claimed(one) == ["a", "b", "c"]

    def test_a_retried_job_goes_behind(self, one: Client) -> None:
        one.push("a", "b", "c")
        one.settle(Retry(), *one.claim(2))
        assert _claimed(one) == ["c", "a", "b"]

    def test_a_retried_job_waits_for_its_delay(self, one: Client) -> None:
        claim = one.take("a")
        one.push("b")
        one.settle(Retry(one.units(5)), claim)
        place = one.entry("a").place
        one.reach_before(place)
        assert _claimed(one) == ["b"]
        one.reach(place)
        one.push("c")
        assert _claimed(one) == ["a", "c"]

    def test_a_redriven_job_goes_behind(self, one: Client) -> None:
        one.push("a", "b")
        one.settle(Fail(), *one.claim())
        one.push("c")
        one.redrive("b", "a")
        assert _claimed(one) == ["c", "b", "a"]

    def test_a_priority_is_kept_through_every_move(self, one: Client) -> None:
        one.push("low", priority=-5)
        one.settle(Retry(), *one.claim())
        one.settle(Return(), *one.claim())
        one.settle(Fail(), *one.claim())
        one.redrive("low")
        one.push("middle")
        one.push("high", priority=5)
        assert _claimed(one) == ["high", "middle", "low"]

    def test_nothing_is_passed_over_for_good_while_others_push(self, one: Client, two: Client) -> None:
        pushed = threading.Event()

        def produce(name: str) -> set[str]:
            ids = {f"{name}{n}" for n in range(150)}
            for id in ids:
                two.push(id)
            return ids

        def produce_all() -> set[str]:
            try:
                return set().union(*together(*[partial(produce, name) for name in "abc"]))
            finally:
                pushed.set()

        def consume() -> set[str]:
            got: set[str] = set()
            while not pushed.is_set():
                got.update(_claimed(one))
            return got

        wanted, got = together(produce_all, consume)
        one.reach(one.now() + 2_000_000)
        got.update(_claimed(one, 1000))
        assert got == wanted


class Law7Empty:
    """7. Claiming from an empty queue changes nothing. Nor do empty batches."""

    def test_claiming_from_an_empty_queue_changes_nothing(self, one: Client) -> None:
        for queue in ("never-used", "emptied"):
            one.push("a", queue="emptied")
            one.settle(Succeed(), *one.claim(queue="emptied"), keep=Keep(), queue="emptied")
            before = one.picture(queue)
            assert one.claim(queue=queue) == one.reclaim(queue=queue) == one.reclaim(queue=queue, of="gone") == []
            assert one.picture(queue) == before

    def test_claiming_before_anything_is_due_changes_nothing(self, one: Client) -> None:
        one.push("a", delay=5)
        before = one.picture()
        assert one.claim() == []
        assert one.picture() == before

    @pytest.mark.parametrize("state", State)
    def test_empty_batches_change_nothing(self, one: Client, state: State) -> None:
        one.put("a", state)
        before = one.picture()
        backend, keep = one.backend, Keep(0, 0)
        assert backend.settle("q", [], keep) == backend.extend("q", [], 1) == []
        assert backend.redrive("q", []) == backend.remove("q", []) == []
        assert backend.push("q", []) == []
        assert backend.get("q", []) == []
        assert one.picture() == before

    def test_claiming_none_changes_nothing(self, one: Client) -> None:
        one.put("failed", State.FAILED)
        one.take("lapsed")
        one.elapse(10)
        one.push("ready")
        before = one.picture()
        assert one.claim(0) == one.reclaim(0) == one.reclaim(0, of=one.holder) == []
        assert one.picture() == before


def _claimed(client: Client, limit: int = 100) -> list[str]:
    return [claim.id for claim in client.claim(limit)]
