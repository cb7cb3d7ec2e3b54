"""Fixed details: what the times in answers are."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

from jobcore.backend import Answer, Fail, Push, Retry, Return, State, Succeed, SystemClock
from jobcore.conformance.client import NO_BOUND, Client, new_call
from jobcore.conformance.harness import Harness
from jobcore.conformance.outages import Record, variant
from jobcore.conformance.threads import PATIENCE

T = TypeVar("T")


MOMENT: Final = 50_000
DAY: Final = 86_400_000_000


class Times:
    """Times are those of the store's clock, in whole microseconds."""

    def test_the_stores_own_clock_ends_delays_and_leases(self, harness: Harness, record_property: Record) -> None:
        backend = harness.unclocked()
        if backend is None:
            return variant(record_property, "the store's own clock was not read")
        client = Client(backend, harness, "by the store's clock")
        backend.push("q", [Push("a", b"", delay=MOMENT)])
        assert abs(client.now() - SystemClock().now()) < DAY, "it counts microseconds since 1970"
        place = client.entry("a").place
        claimed = _once(lambda: backend.claim("q", 1, MOMENT, "me", new_call(), NO_BOUND), lambda it: bool(it.claims))
        assert place <= claimed.now <= claimed.claims[0].lease_until - MOMENT
        (claim,) = _once(client.reclaim, bool)
        assert (claim.lapsed_at, claim.lost) == (claimed.claims[0].lease_until, 1)
        assert claim.lapsed_at is not None
        assert claim.lapsed_at <= client.now()
        return backend.close()

    def test_a_push_is_placed_at_the_stores_now(self, one: Client) -> None:
        before = one.now()
        one.push("a")
        assert before <= one.entry("a").place == one.entry("a").pushed_at <= one.now()

    def test_a_delay_counts_from_the_stores_now(self, one: Client) -> None:
        one.backend.push("q", [Push("a", b"", delay=10_000_001)])
        assert one.entry("a").place == one.entry("a").pushed_at + 10_000_001

    def test_run_at_is_the_place(self, one: Client) -> None:
        run_at = one.now() + 12_345_678_901
        one.push("a", run_at=run_at)
        assert one.entry("a").place == run_at

    def test_a_place_is_never_before_the_push(self, one: Client) -> None:
        one.push("a", run_at=1)
        assert one.entry("a").place == one.entry("a").pushed_at

    def test_a_claim_tells_when_it_was_made_and_when_it_ends(self, one: Client) -> None:
        one.push("a")
        pushed_at = one.entry("a").pushed_at
        one.elapse(2)
        claimed = one.claimed(lease=7)
        (claim,) = claimed.claims
        assert (claim.pushed_at, claim.started_at) == (pushed_at, claimed.now)
        assert claim.lease_until == claimed.now + one.units(7)
        assert claim.lapsed_at is None

    def test_each_run_starts_at_its_claim(self, one: Client) -> None:
        first = one.take("a")
        one.elapse(2)
        one.settle(Retry(), first)
        claimed = one.claimed()
        assert [claim.started_at for claim in claimed.claims] == [claimed.now]
        assert claimed.now > first.started_at

    def test_an_extension_ends_a_lease_from_now_and_not_from_its_end(self, one: Client) -> None:
        claim = one.take("a")
        one.elapse(2)
        before = one.now()
        one.extend(claim.hold, lease=5)
        assert before + one.units(5) <= (one.entry("a").lease_until or 0) <= one.now() + one.units(5)

    def test_an_extension_can_shorten_a_lease(self, one: Client, two: Client) -> None:
        claim = one.take("a")
        one.extend(claim.hold, lease=1)
        assert (one.entry("a").lease_until or 0) < claim.lease_until
        one.elapse(1)
        assert [claim.id for claim in two.reclaim()] == ["a"]

    def test_a_lease_is_extended_at_its_very_end(self, one: Client, two: Client) -> None:
        claim = one.take("a")
        one.reach(claim.lease_until)
        assert one.extend(claim.hold) == [Answer.HELD]
        assert two.reclaim() == []
        one.reach(one.entry("a").lease_until or 0)
        assert one.settle(Succeed(), claim) == [Answer.DONE]

    def test_a_retry_is_placed_at_now_and_its_delay(self, one: Client) -> None:
        claim = one.take("a")
        one.elapse(2)
        before = one.now()
        one.settle(Retry(one.units(5)), claim)
        assert before <= one.entry("a").place - one.units(5) <= one.now()

    def test_a_return_restores_the_place(self, one: Client) -> None:
        one.push("a")
        place = one.entry("a").place
        one.elapse(2)
        one.settle(Return(), *one.claim())
        assert one.entry("a").place == place

    def test_a_redrive_is_placed_at_now(self, one: Client) -> None:
        one.put("a", State.FAILED)
        one.elapse(2)
        before = one.now()
        one.redrive("a")
        assert before <= one.entry("a").place <= one.now()

    def test_a_job_ends_when_it_is_settled(self, one: Client) -> None:
        claim = one.take("a")
        one.elapse(2)
        before = one.now()
        one.settle(Fail(), claim)
        entry = one.entry("a")
        assert before <= (entry.finished_at or 0) <= one.now()
        assert entry.started_at == claim.started_at

    def test_no_digit_of_a_time_is_lost(self, one: Client, two: Client) -> None:
        one.elapse(1.234567)
        one.push("a", delay=2.345678)
        assert one.entry("a").place == one.entry("a").pushed_at + one.units(2.345678)
        one.reach(one.entry("a").place)
        claimed = one.claimed(lease=3.456789)
        (claim,) = claimed.claims
        assert claim.lease_until == one.entry("a").lease_until == claimed.now + one.units(3.456789)
        one.elapse(1.111111)
        one.extend(claim.hold, lease=4.567891)
        (again,) = one.claim(call=claim.call)
        assert again.lease_until == one.entry("a").lease_until
        one.reach(again.lease_until)
        assert [lapsed.lapsed_at for lapsed in two.reclaim()] == [again.lease_until]

    def test_two_clients_read_one_clock(self, one: Client, two: Client) -> None:
        times = [client.now() for client in (one, two, one, two)]
        assert times == sorted(times)


class NextDue:
    """`next_due` is now when the claim stopped at `limit` or `max_bytes`, else the smallest later place, else None."""

    def test_with_nothing_at_all(self, one: Client) -> None:
        assert one.claimed().next_due is None

    def test_when_all_is_claimed(self, one: Client) -> None:
        one.push("a")
        assert one.claimed().next_due is None
        assert one.claimed().next_due is None

    def test_when_the_limit_ended_it(self, one: Client) -> None:
        one.push("a", "b")
        claimed = one.claimed(1)
        assert claimed.next_due == claimed.now
        claimed = one.claimed(1)
        assert claimed.next_due == claimed.now
        assert one.claimed(1).next_due is None

    def test_when_max_bytes_ended_it(self, one: Client) -> None:
        one.push("a", "b", payload=b"1234")
        claimed = one.claimed(max_bytes=7)
        assert len(claimed.claims) == 1
        assert claimed.next_due == claimed.now

    def test_when_none_was_asked_for(self, one: Client) -> None:
        claimed = one.claimed(0)
        assert claimed.next_due == claimed.now

    def test_when_something_is_due_later(self, one: Client) -> None:
        one.push("a", delay=9)
        assert one.claimed().next_due == one.entry("a").place
        one.push("b")
        assert one.claimed().next_due == one.entry("a").place

    def test_over_all_priorities(self, one: Client) -> None:
        for priority, delay in ((100, 9), (5, 7), (-3, 3), (-100, 5)):
            one.push(f"{priority}", priority=priority, delay=delay)
        assert one.claimed().next_due == one.entry("-3").place
        one.remove("-3")
        assert one.claimed().next_due == one.entry("-100").place

    def test_of_a_retried_job(self, one: Client) -> None:
        one.settle(Retry(one.units(4)), one.take("a"))
        assert one.claimed().next_due == one.entry("a").place

    def test_what_runs_or_has_ended_is_not_due(self, one: Client) -> None:
        one.settle(Succeed(), one.take("s"))
        one.put("f", State.FAILED)
        one.put("r", State.RUNNING)
        assert one.claimed().next_due is None

    def test_of_a_repeated_claim(self, one: Client) -> None:
        one.push("a")
        one.push("b", delay=5)
        call = b"repeated claim !"
        one.claim(call=call)
        claimed = one.claimed(call=call)
        assert claimed.next_due == claimed.now


def _once(call: Callable[[], T], wanted: Callable[[T], bool]) -> T:
    """What a call answers, once that is what is wanted."""
    deadline = time.monotonic() + PATIENCE
    while not wanted(answer := call()):
        assert time.monotonic() < deadline, "the store's clock stands still"
    return answer
