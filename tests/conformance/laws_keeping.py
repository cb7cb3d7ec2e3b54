"""Laws 8 and 9: what is kept is kept exactly, and no more than was asked for."""

from __future__ import annotations

import hashlib
import pickle
import random
from functools import partial

import pytest

from jobcore.backend import Answer, Claim, Counts, Fail, Keep, Push, Retry, Return, State, Succeed
from jobcore.conformance.client import Client
from jobcore.conformance.harness import Harness
from jobcore.conformance.outages import NO_LOOK, Record, variant
from jobcore.conformance.threads import together

PAYLOADS = {
    "empty": b"",
    "every byte": bytes(range(256)),
    "NULs": bytes(3),
    "no UTF-8": b"\xff\xfe\x80 caf\xe9",
    "line ends": b"\r\n\r\n$3\r\nfoo\r\n\n",
    "quotes": b"""'"\\ \\x00 %s {} $1 :a""",
    "a pickle": pickle.dumps({"a": [1, None]}),
    "JSON": '{"job": "ünï", "args": {}}'.encode(),
    "a MiB": random.Random(8).randbytes(1 << 20),
}


def brief(stored: bytes | None) -> bytes | str | None:
    """Bytes to compare: of long ones their digest, as an assertion that fails is explained difference by difference."""
    if stored is None or len(stored) <= 256:
        return stored
    return f"{len(stored)} bytes, SHA-256 {hashlib.sha256(stored).hexdigest()}"


class Law8Bytes:
    """8. Bytes in, bytes out. Payloads come back exactly, undecodable ones too."""

    @pytest.mark.parametrize("kind", PAYLOADS)
    def test_a_payload_comes_back_exactly(self, one: Client, two: Client, kind: str) -> None:
        payload = PAYLOADS[kind]
        one.push("a", payload=payload)
        kept = brief(payload)
        assert brief(two.entry("a").payload) == brief(two.listing(State.READY)[0].payload) == kept
        (claim,) = two.claim()
        assert brief(claim.payload) == kept
        two.settle(Retry(0, "once more"), claim)
        (claim,) = one.claim(lease=1)
        assert brief(claim.payload) == kept
        one.elapse(1)
        (claim,) = two.reclaim()
        assert brief(claim.payload) == kept
        two.settle(Fail(State.BROKEN, "undecodable"), claim)
        assert brief(one.listing(State.BROKEN)[0].payload) == kept
        one.redrive("a")
        assert brief(one.claim()[0].payload) == kept

    def test_a_payload_lies_in_the_store_as_it_was_given(
        self, harness: Harness, one: Client, record_property: Record
    ) -> None:
        one.backend.push("q", [Push(kind, payload) for kind, payload in PAYLOADS.items()])
        self._lies(harness, one, State.READY, record_property)
        claims = one.claim()
        self._lies(harness, one, State.RUNNING, record_property)
        one.settle(Fail(State.BROKEN, "undecodable"), *claims)
        self._lies(harness, one, State.BROKEN, record_property)
        one.redrive(*PAYLOADS)
        one.settle(Succeed(b"1"), *one.claim())
        self._lies(harness, one, State.SUCCEEDED, record_property)

    @staticmethod
    def _lies(harness: Harness, client: Client, state: State, record_property: Record) -> None:
        seen = harness.look("q")
        if seen is None:
            variant(record_property, NO_LOOK)
        jobs = seen.jobs if seen else {entry.id: (state, entry.payload) for entry in client.listing(state)}
        lies = {id: (stored, brief(payload)) for id, (stored, payload) in jobs.items()}
        assert lies == {kind: (state, brief(payload)) for kind, payload in PAYLOADS.items()}

    def test_payloads_of_one_batch_stay_apart(self, one: Client) -> None:
        payloads = [bytes([n]) * n for n in range(256)]
        one.backend.push("q", [Push(f"{n}", payload) for n, payload in enumerate(payloads)])
        assert [brief(claim.payload) for claim in one.claim(256)] == payloads

    @pytest.mark.parametrize("value", [None, b"null", b'"\xc3\xbc"', b'{"big": "' + b"x" * 100_000 + b'"}'])
    def test_a_value_comes_back_exactly(self, one: Client, two: Client, value: bytes | None) -> None:
        one.settle(Succeed(value), one.take("a"))
        assert brief(two.entry("a").value) == brief(two.listing(State.SUCCEEDED)[0].value) == brief(value)

    @pytest.mark.parametrize("id", ["a b", "ü" * 100, "🐘", "'; --", "{q}:*?[a]", "a" * 200, "%s", "-1", "0"])
    def test_an_id_comes_back_exactly(self, one: Client, two: Client, id: str) -> None:
        claim = one.take(id, remember=1)
        assert two.settle(Fail(), claim) == [Answer.DONE]
        assert two.ids(State.FAILED) == [id]
        assert two.redrive(id) == two.remove(id) == [Answer.DONE]
        assert two.push(id)[0].state is None


class Law9Caps:
    """9. Caps.

    When a settle that put a job into FAILED/TIMED_OUT or SUCCEEDED returns, no more than the cap it named is
    kept there, and the newest by order of settling are. Other settles trim nothing; a cap of 0 keeps none.
    """

    def test_the_newest_failed_jobs_are_kept(self, one: Client) -> None:
        for n in range(6):
            one.settle(Fail(), one.take(f"{n}"), keep=Keep(failed=3))
        assert one.ids(State.FAILED) == ["5", "4", "3"]
        assert one.backend.get("q", ["2", "1", "0"]) == [None] * 3

    def test_the_newest_succeeded_jobs_are_kept(self, one: Client) -> None:
        for n in range(6):
            one.settle(Succeed(), one.take(f"{n}"), keep=Keep(succeeded=3))
        assert one.ids(State.SUCCEEDED) == ["5", "4", "3"]

    def test_newest_means_by_order_of_settling(self, one: Client) -> None:
        claims = _hold(one, 5)
        for n in (4, 0, 3, 1, 2):
            one.settle(Fail(), claims[n], keep=Keep(failed=2))
        assert one.ids(State.FAILED) == ["2", "1"]

    @pytest.mark.parametrize("outcome", [Fail(), Succeed()])
    def test_within_a_batch_too(self, one: Client, outcome: Fail | Succeed) -> None:
        claims = _hold(one, 9)
        one.settle(outcome, *claims[3:], *claims[:3], keep=Keep(failed=4, succeeded=4))
        assert [*one.ids(State.FAILED), *one.ids(State.SUCCEEDED)] == ["2", "1", "0", "8"]

    def test_failed_and_timed_out_share_a_cap(self, one: Client) -> None:
        for n, claim in enumerate(_hold(one, 6)):
            one.settle(Fail(State.TIMED_OUT if n % 2 else State.FAILED), claim, keep=Keep(failed=3))
        assert (one.ids(State.FAILED), one.ids(State.TIMED_OUT)) == (["4"], ["5", "3"])

    def test_broken_jobs_are_never_trimmed_nor_counted(self, one: Client) -> None:
        claims = _hold(one, 6)
        one.settle(Fail(State.BROKEN), *claims[:4], keep=Keep(0, 0))
        one.settle(Fail(), *claims[4:], keep=Keep(failed=2))
        assert one.ids(State.BROKEN) == ["3", "2", "1", "0"]
        assert one.ids(State.FAILED) == ["5", "4"]

    def test_a_smaller_cap_holds_from_the_next_settlement_on(self, one: Client) -> None:
        claims = _hold(one, 10)
        one.settle(Fail(), *claims[:8])
        assert one.counts().failed == 8
        one.settle(Fail(), claims[8], keep=Keep(failed=3))
        assert one.ids(State.FAILED) == ["8", "7", "6"]
        one.settle(Fail(), claims[9], keep=Keep(failed=100))
        assert one.ids(State.FAILED) == ["9", "8", "7", "6"]

    def test_a_cap_of_0_keeps_none_and_none_from_before(self, one: Client) -> None:
        claims = _hold(one, 6)
        one.settle(Fail(), claims[0])
        one.settle(Fail(State.TIMED_OUT), claims[1])
        one.settle(Succeed(), claims[2], claims[3])
        one.settle(Succeed(), claims[4], keep=Keep(failed=5, succeeded=0))
        assert one.counts() == Counts(running=1, failed=1, timed_out=1)
        one.settle(Fail(), claims[5], keep=Keep(failed=0, succeeded=5))
        assert one.counts() == Counts()

    @pytest.mark.parametrize("outcome", [Retry(), Return(), Fail(State.BROKEN)])
    def test_other_settlements_trim_nothing(self, one: Client, outcome: Retry | Return | Fail) -> None:
        claims = _hold(one, 5)
        one.settle(Fail(), *claims[:2])
        one.settle(Succeed(), *claims[2:4])
        one.settle(outcome, claims[4], keep=Keep(0, 0))
        assert (one.counts().failed, one.counts().succeeded) == (2, 2)

    def test_each_cap_is_for_its_own_states(self, one: Client) -> None:
        claims = _hold(one, 6)
        one.settle(Fail(), *claims[:2])
        one.settle(Succeed(), *claims[2:4])
        one.settle(Succeed(), claims[4], keep=Keep(failed=0, succeeded=1))
        assert (one.ids(State.FAILED), one.ids(State.SUCCEEDED)) == (["1", "0"], ["4"])
        one.settle(Fail(), claims[5], keep=Keep(failed=1, succeeded=0))
        assert (one.ids(State.FAILED), one.ids(State.SUCCEEDED)) == (["5"], ["4"])

    def test_a_batch_of_both_kinds_keeps_both_caps(self, one: Client) -> None:
        claims = _hold(one, 8)
        settlements = [(claim.hold, Fail() if n % 2 else Succeed()) for n, claim in enumerate(claims)]
        one.backend.settle("q", settlements, Keep(failed=1, succeeded=3))
        assert (one.ids(State.FAILED), one.ids(State.SUCCEEDED)) == (["7"], ["6", "4", "2"])

    def test_a_redriven_job_that_fails_again_is_the_newest(self, one: Client) -> None:
        one.settle(Fail(), *_hold(one, 3))
        one.redrive("0")
        one.settle(Fail(), *one.claim(), keep=Keep(failed=2))
        assert one.ids(State.FAILED) == ["0", "2"]

    def test_removing_makes_room(self, one: Client) -> None:
        claims = _hold(one, 4)
        one.settle(Fail(), *claims[:3])
        one.remove("2")
        one.settle(Fail(), claims[3], keep=Keep(failed=3))
        assert one.ids(State.FAILED) == ["3", "1", "0"]

    @pytest.mark.parametrize("outcome", [Fail(), Succeed()])
    def test_caps_are_exact_when_many_settle_at_once(self, one: Client, two: Client, outcome: Fail | Succeed) -> None:
        claims = _hold(one, 60)
        keep = Keep(failed=7, succeeded=7)

        def settle(client: Client, mine: list[Claim]) -> None:
            for first in range(0, 10, 2):
                client.settle(outcome, *mine[first : first + 2], keep=keep)
                assert client.counts().failed + client.counts().succeeded <= 7

        together(*[partial(settle, (one, two)[n % 2], claims[n * 10 : n * 10 + 10]) for n in range(6)])
        assert one.counts().failed + one.counts().succeeded == 7


def _hold(client: Client, jobs: int) -> list[Claim]:
    """Push and claim jobs called 0, 1, 2 …"""
    client.push(*[f"{n}" for n in range(jobs)])
    claims = client.claim()
    assert [claim.id for claim in claims] == [f"{n}" for n in range(jobs)]
    return claims
