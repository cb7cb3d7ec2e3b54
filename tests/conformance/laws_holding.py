"""Laws 3 and 4: a job has one holder, and only who holds it moves it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import pytest
from msgspec.structs import replace

from jobcore.backend import Answer, Claim, Fail, Hold, Keep, Outcome, Retry, Return, State, Succeed
from jobcore.conformance.client import Client, new_call
from jobcore.conformance.threads import together

OUTCOMES: Final[list[Outcome]] = [
    Succeed(b"1"),
    Retry(5, "again"),
    Fail(State.FAILED, "no"),
    Fail(State.BROKEN, "what?"),
    Return(),
]


class Law3OneHolder:
    """3. One holder. `claim` never gives out a running job; at most one token per job is current."""

    def test_a_running_job_is_not_given_out(self, one: Client, two: Client) -> None:
        one.take("a")
        assert one.claim() == two.claim() == []

    def test_nor_when_its_lease_has_run_out(self, one: Client, two: Client) -> None:
        one.take("a")
        one.elapse(20)
        assert one.claim() == two.claim() == []
        assert two.ids(State.RUNNING) == ["a"]

    def test_claimers_at_once_share_no_job(self, one: Client, two: Client) -> None:
        ids = [f"{n}" for n in range(300)]
        one.push(*ids)

        def drain(client: Client) -> list[str]:
            got: list[str] = []
            while claims := client.claim(7):
                got += [claim.id for claim in claims]
            return got

        taken = together(*[partial(drain, client) for client in (one, two) * 3])
        # One that finds all that is due in others' hands may stop; the jobs are then still there.
        assert sorted(id for ids in taken for id in ids) == sorted(one.ids(State.RUNNING))
        assert sorted([*one.ids(State.RUNNING), *one.ids(State.READY)]) == sorted(ids)

    def test_reclaimers_at_once_share_no_job(self, one: Client, two: Client) -> None:
        ids = [f"{n}" for n in range(60)]
        one.push(*ids)
        one.claim(lease=1)
        one.elapse(1)
        taken = together(*[partial(client.reclaim, 40) for client in (one, two) * 2])
        taken.append(one.reclaim())
        assert sorted(claim.id for claims in taken for claim in claims) == sorted(ids)

    def test_of_settlements_at_once_one_moves_the_job(self, one: Client, two: Client) -> None:
        one.push(*[f"{n}" for n in range(30)])
        claims = one.claim()
        answers = together(*[partial(client.settle, Retry(), *claims) for client in (one, two) * 3])
        for of_one_job in zip(*answers, strict=True):
            assert sorted(of_one_job) == [Answer.DONE, *[Answer.LOST] * 5]

    def test_after_a_reclaim_only_the_new_token_is_current(self, one: Client, two: Client) -> None:
        old = one.take("a")
        one.elapse(10)
        (new,) = two.reclaim()
        assert two.extend(old.hold, new.hold) == [Answer.LOST, Answer.HELD]
        assert one.settle(Succeed(), old, new) == [Answer.LOST, Answer.DONE]

    def test_a_job_is_settled_or_taken_over_but_not_both(self, one: Client, two: Client) -> None:
        one.push(*[f"{n}" for n in range(30)])
        claims = one.claim(lease=1)
        one.elapse(1)
        calls: list[Callable[[], list[Any]]] = [partial(one.settle, Succeed(), *claims), two.reclaim]
        settled, reclaimed = together(*calls)
        done = {claim.id for claim, answer in zip(claims, settled, strict=True) if answer is Answer.DONE}
        taken = {claim.id for claim in reclaimed}
        assert not done & taken
        assert set(one.ids(State.SUCCEEDED)) == done
        assert set(one.ids(State.RUNNING)) == {claim.id for claim in claims} - done


def _settle_as(outcome: Outcome) -> Callable[[Client, Claim], object]:
    return lambda client, claim: client.settle(outcome, claim)


def _fail_and_redrive(client: Client, claim: Claim) -> None:
    client.settle(Fail(), claim)
    client.redrive(claim.id)


def _remove_and_push(client: Client, claim: Claim) -> None:
    client.settle(Fail(), claim)
    client.remove(claim.id)
    client.elapse(0.01)  # a new job of an old id rises by the clock alone
    client.push(claim.id)


def _reclaim_and_return(client: Client, claim: Claim) -> None:
    client.settle(Return(), *client.reclaim(of=client.holder))


AGAIN: Final = {
    "retried": _settle_as(Retry()),
    "returned": _settle_as(Return()),
    "redriven": _fail_and_redrive,
    "removed and pushed": _remove_and_push,
    "reclaimed": _reclaim_and_return,
}
"""The ways in which a held job becomes ready again."""


class Law4Fenced:
    """4. Fenced.

    `settle` and `extend` with a token that is not current change nothing and say LOST. Tokens never come
    again. A lease that ran out but was not reclaimed is still current.
    """

    @pytest.mark.parametrize("way", AGAIN)
    def test_a_token_is_stale_once_the_job_was_given_up(self, one: Client, two: Client, way: str) -> None:
        old = one.take("a")
        AGAIN[way](one, old)
        self._refused(two, old.hold)
        (new,) = two.claim()
        self._refused(one, old.hold)
        assert one.settle(Succeed(), new) == [Answer.DONE]

    @pytest.mark.parametrize("outcome", OUTCOMES)
    def test_a_token_is_stale_once_the_job_was_settled(self, one: Client, two: Client, outcome: Outcome) -> None:
        claim = one.take("a")
        one.settle(outcome, claim)
        self._refused(two, claim.hold)

    def test_a_forged_token_changes_nothing(self, one: Client, two: Client) -> None:
        held = one.take("a").hold
        one.push("ready")
        for forged in (
            replace(held, call=new_call()),
            replace(held, call=bytes(16)),
            replace(held, fence=held.fence + 1),
            replace(held, fence=held.fence - 1),
            replace(held, fence=0),
            replace(held, id="A"),
            replace(held, id="ready"),
            replace(held, id="never pushed"),
        ):
            self._refused(two, forged)
        assert two.extend(held) == [Answer.HELD]

    def test_two_tokens_of_one_call_are_not_exchangeable(self, one: Client) -> None:
        one.push("a", "b")
        a, b = one.claim()
        if a.fence != b.fence:
            self._refused(one, replace(a.hold, fence=b.fence))
        one.settle(Succeed(), a)
        self._refused(one, replace(a.hold, fence=b.fence))
        assert one.settle(Succeed(), b) == [Answer.DONE]

    def test_a_token_is_of_its_queue_alone(self, one: Client) -> None:
        one.push("a")
        one.push("a", queue="other")
        held = one.claim()[0].hold
        one.claim(queue="other")
        self._refused(one, held, queue="other")
        assert one.extend(held) == [Answer.HELD]

    def test_a_lease_that_ran_out_is_current_until_it_is_taken_over(self, one: Client, two: Client) -> None:
        extended, settled = one.take("extended"), one.take("settled")
        one.elapse(20)
        assert one.extend(extended.hold) == [Answer.HELD]
        assert one.settle(Succeed(), settled) == [Answer.DONE]
        assert two.reclaim() == []

    @pytest.mark.parametrize("way", AGAIN)
    def test_fences_rise_with_each_claim(self, one: Client, two: Client, way: str) -> None:
        claim = one.take("a")
        for client in (two, one, two):
            AGAIN[way](one, claim)
            (again,) = client.claim(holder=one.holder)
            assert again.fence > claim.fence
            assert again.hold != claim.hold
            claim = again

    def test_a_reclaim_has_a_fence_of_its_own_that_rises(self, one: Client, two: Client) -> None:
        fences = [one.take("a").fence]
        for _ in range(3):
            one.elapse(10)
            (claim,) = two.reclaim()
            fences.append(claim.fence)
        assert fences == sorted(set(fences))

    def test_a_fence_is_no_less_than_the_clock(self, one: Client) -> None:
        one.push("a")
        claimed = one.claimed()
        assert claimed.claims[0].fence >= claimed.now

    def test_a_refused_settlement_trims_nothing(self, one: Client) -> None:
        for id in ("f", "s"):
            one.put(id, State.FAILED if id == "f" else State.SUCCEEDED)
        claim = one.take("a")
        one.settle(Return(), claim)
        before = one.picture()
        for outcome in OUTCOMES:
            assert one.settle(outcome, claim, keep=Keep(0, 0)) == [Answer.LOST]
        assert one.picture() == before

    @staticmethod
    def _refused(client: Client, hold: Hold, queue: str = "q") -> None:
        before = client.picture(queue)
        assert client.extend(hold, queue=queue, lease=77) == [Answer.LOST]
        for outcome in OUTCOMES:
            assert client.settle(outcome, hold, queue=queue, keep=Keep(0, 0)) == [Answer.LOST]
        assert client.picture(queue) == before
