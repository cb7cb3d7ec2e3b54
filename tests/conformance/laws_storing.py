"""Laws 1, 2 and 5: what goes in stays in, is run, and goes in once."""

from __future__ import annotations

import random
from functools import partial

import pytest

from jobcore.backend import FINISHED, Answer, Counts, Fail, Keep, Outcome, Push, Pushed, Retry, Return, State, Succeed
from jobcore.conformance.client import ROOMY, Client
from jobcore.conformance.harness import Harness
from jobcore.conformance.laws_outages import KeptThroughOutages, RepeatedAfterCuts
from jobcore.conformance.outages import NO_LOOK, Record, variant
from jobcore.conformance.threads import together


class Law1Kept(KeptThroughOutages):
    """1. Nothing acknowledged is lost.

    Once `push` returned, the job is in exactly one state at every moment until it is trimmed, removed or
    destroyed, through crashes of any client.
    """

    def test_a_job_is_in_exactly_one_state_all_its_life(self, one: Client, two: Client) -> None:
        one.push("a")
        assert _where(two, "a") == [State.READY]
        (claim,) = one.claim()
        assert _where(two, "a") == [State.RUNNING]
        one.settle(Retry(one.units(5), "later"), claim)
        assert _where(two, "a") == [State.SCHEDULED]
        one.elapse(5)
        assert _where(two, "a") == [State.READY]
        one.settle(Fail(State.FAILED, "no"), *one.claim())
        assert _where(two, "a") == [State.FAILED]
        one.redrive("a")
        assert _where(two, "a") == [State.READY]
        one.settle(Succeed(), *one.claim())
        assert _where(two, "a") == [State.SUCCEEDED]
        one.remove("a")
        assert _where(two, "a") == []

    @pytest.mark.parametrize("state", State)
    def test_a_job_outlives_the_client_that_made_it(self, harness: Harness, one: Client, state: State) -> None:
        entry = one.put("a", state)
        one.backend.close()
        late = Client(harness.second(), harness, "late")
        assert late.entry("a") == entry
        assert late.ids(state) == ["a"]
        late.backend.close()

    def test_what_lies_in_the_store_is_what_is_listed(
        self, harness: Harness, one: Client, two: Client, record_property: Record
    ) -> None:
        for state in reversed(State):
            one.put(state.value, state, payload=state.value.encode())
        listed = {entry.id: (state, entry.payload) for state in State for entry in two.listing(state)}
        assert listed == {state.value: (state, state.value.encode()) for state in State}
        seen = harness.look("q")
        if seen is None:
            variant(record_property, NO_LOOK)
        else:
            assert seen.jobs == listed | {"scheduled": (State.READY, b"scheduled")}

    def test_a_job_whose_holder_is_gone_still_runs_and_is_taken_over(
        self, harness: Harness, one: Client, two: Client
    ) -> None:
        one.push("a", payload=b"what was asked")
        one.claim(lease=5)
        one.backend.close()
        assert two.ids(State.RUNNING) == ["a"]
        two.elapse(5)
        (claim,) = two.reclaim()
        assert (claim.id, claim.payload) == ("a", b"what was asked")

    def test_many_jobs_go_in_and_all_come_out(self, one: Client, two: Client) -> None:
        ids = [f"job {n}" for n in range(3000)]
        for first in range(0, 3000, 1000):
            one.push(*ids[first : first + 1000])
        assert two.counts().ready == 3000
        got = [claim.id for _ in range(30) for claim in two.claim(100)]
        assert got == ids

    def test_all_verbs_at_once_lose_nothing(self, one: Client, two: Client) -> None:
        ids = [f"{n}" for n in range(200)]
        outcomes: list[Outcome] = [Succeed(), Retry(), Return(), Fail(), Fail(State.BROKEN)]

        def produce(client: Client) -> None:
            for first in range(0, 200, 10):
                client.push(*ids[first : first + 10], priority=first % 3)

        def work(client: Client, name: str) -> None:
            chance = random.Random(name)
            for _ in range(40):
                holds = [claim.hold for claim in client.claim(7, holder=name)]
                chance.shuffle(holds)
                client.backend.extend("q", holds, client.units(10))
                client.backend.settle("q", [(hold, chance.choice(outcomes)) for hold in holds], ROOMY)

        def monitor(client: Client, name: str) -> None:
            for first in range(20):
                client.settle(Return(), *client.reclaim(5, of=name))
                client.redrive(*ids[first::20])

        workers = [partial(work, client, name) for client, name in ((one, "a"), (two, "b"), (two, "c"))]
        together(partial(produce, one), partial(produce, two), *workers, partial(monitor, one, "c"))
        assert sorted(id for state in State for id in one.ids(state)) == sorted(ids)
        assert sum(getattr(two.counts(), state.value) for state in State) == len(ids)


class Law2AtLeastOnce:
    """2. At least once. While a worker and a monitor live, each pushed job ends settled."""

    def test_every_job_ends_settled_though_holders_are_lost(self, one: Client, two: Client) -> None:
        ids = {f"{n}" for n in range(20)}
        one.push(*ids)
        one.claim(7, lease=1, holder="dies at once")
        settled: set[str] = set()
        for _ in range(20):
            claims = one.claim(3, lease=2)
            done, dropped = claims[:2], claims[2:]
            assert one.settle(Succeed(), *done, keep=Keep()) == [Answer.DONE] * len(done)
            settled |= {claim.id for claim in done}
            two.elapse(2 if dropped else 1)
            two.settle(Return(), *two.reclaim())
        assert settled == ids
        assert one.counts() == two.counts() == Counts()

    def test_a_lost_monitor_loses_nothing(self, one: Client, two: Client) -> None:
        one.take("a")
        one.elapse(10)
        (first,) = one.reclaim(lease=5)
        two.elapse(5)
        (second,) = two.reclaim()
        assert (second.id, second.lost) == ("a", first.lost + 1)


class Law5Idempotent(RepeatedAfterCuts):
    """5. Push is idempotent by id.

    An id in any state stores nothing and says so; the first payload stays. An id that the *user* chose is
    remembered for `remember` seconds after its job left the store; a made-up one is not. Repeating any other
    call after a lost reply does no harm.
    """

    @pytest.mark.parametrize("state", State)
    def test_an_id_in_any_state_stores_nothing_and_says_so(self, one: Client, two: Client, state: State) -> None:
        one.put("a", state, payload=b"first")
        before = one.picture()
        again = Push("a", b"second", priority=7, remember=9)
        assert two.backend.push("q", [again]) == [Pushed("a", created=False, state=state)]
        assert one.picture() == before

    def test_a_push_tells_whether_the_job_is_ready(self, one: Client) -> None:
        assert one.push("now") == [Pushed("now", created=True, state=State.READY)]
        assert one.push("later", delay=5) == [Pushed("later", created=True, state=State.SCHEDULED)]

    def test_of_two_in_one_batch_the_first_stays(self, one: Client) -> None:
        pushes = [Push("a", b"first", priority=1), Push("b", b"other"), Push("a", b"second", priority=2)]
        assert [pushed.created for pushed in one.backend.push("q", pushes)] == [True, True, False]
        assert (one.entry("a").payload, one.entry("a").priority) == (b"first", 1)
        assert one.ids(State.READY) == ["a", "b"]

    def test_of_many_at_once_one_is_stored(self, one: Client, two: Client) -> None:
        ids = [f"{n}" for n in range(50)]
        answers = together(*[partial(client.push, *ids) for client in (one, two) * 3])
        for of_one_id in zip(*answers, strict=True):
            assert [pushed.created for pushed in of_one_id].count(True) == 1
        assert sorted(one.ids(State.READY)) == sorted(ids)

    def test_a_chosen_id_is_remembered_after_success(self, one: Client, two: Client) -> None:
        claim = one.take("a", remember=1)
        one.settle(Succeed(), claim, keep=Keep())
        assert two.push("a") == [Pushed("a", created=False, state=None)]
        assert one.counts().ready == 0

    def test_a_chosen_id_is_remembered_after_removal(self, one: Client, two: Client) -> None:
        one.push("a", remember=1)
        one.remove("a")
        assert two.push("a") == [Pushed("a", created=False, state=None)]

    @pytest.mark.parametrize("outcome", [Fail(State.FAILED), Fail(State.TIMED_OUT), Succeed()])
    @pytest.mark.parametrize("cap", [1, 0])
    def test_a_chosen_id_is_remembered_after_trimming(
        self, one: Client, two: Client, outcome: Fail | Succeed, cap: int
    ) -> None:
        one.settle(outcome, one.take("a", remember=1))
        one.settle(outcome, one.take("b"), keep=Keep(failed=cap, succeeded=cap))
        assert two.push("a") == [Pushed("a", created=False, state=None)]

    def test_a_chosen_id_is_remembered_for_its_time_and_no_longer(self, one: Client, two: Client) -> None:
        one.push("a", remember=1)
        one.elapse(3)  # it counts from when the job leaves, not from when it came
        before = one.now()
        one.remove("a")
        one.reach_before(before + 1_000_000)
        assert not two.push("a")[0].created
        one.reach(one.now() + 1_000_000)
        assert two.push("a", payload=b"anew")[0].created
        (claim,) = two.claim()
        assert (claim.payload, claim.attempt, claim.lost) == (b"anew", 1, 0)

    def test_an_id_is_forgotten_at_its_time_whatever_else_is_remembered(self, one: Client) -> None:
        one.push("long", remember=1000)
        one.push("short", remember=1)
        one.remove("long", "short")
        one.reach(one.now() + 1_000_000)
        assert [pushed.created for pushed in one.push("short", "long")] == [True, False]

    def test_an_id_is_remembered_anew_each_time_its_job_leaves(self, one: Client) -> None:
        ids = [*"abcdef"]  # some may still be there though their time has passed
        one.push(*ids, remember=1)
        one.remove(*ids)
        one.reach(one.now() + 1_000_000)
        for id in reversed(ids):
            assert one.push(id, remember=1000)[0].created
            one.remove(id)
        assert not any(pushed.created for pushed in one.push(*ids))

    def test_a_made_up_id_is_not_remembered(self, one: Client) -> None:
        one.push("a")
        one.remove("a")
        assert one.push("a") == [Pushed("a", created=True, state=State.READY)]

    def test_a_refused_push_does_not_change_for_how_long_an_id_is_remembered(self, one: Client) -> None:
        one.push("short")
        one.push("short", remember=1000)
        one.push("long", remember=1000)
        one.push("long")
        one.remove("short", "long")
        assert [pushed.created for pushed in one.push("short", "long")] == [True, False]

    def test_a_remembered_id_is_no_job(self, one: Client) -> None:
        one.push("a", remember=1000)
        one.remove("a")
        assert one.backend.get("q", ["a"]) == [None]
        assert one.redrive("a") == one.remove("a") == [Answer.MISSING]
        assert _where(one, "a") == []

    @pytest.mark.parametrize("state", sorted(FINISHED))
    def test_a_finished_job_that_is_kept_is_not_merely_remembered(self, one: Client, state: State) -> None:
        one.put("a", state, remember=1)
        one.reach(one.now() + 2_000_000)
        assert one.push("a") == [Pushed("a", created=False, state=state)]

    def test_repeated_calls_do_no_harm(self, one: Client, two: Client) -> None:
        first, second = one.take("first"), one.take("second")
        for client, answer in ((one, Answer.DONE), (two, Answer.LOST)):
            assert client.settle(Fail(reason="no"), first) == [answer]
            assert client.settle(Succeed(), second, keep=ROOMY) == [answer]
        before = one.picture()
        assert two.settle(Retry(), first, second) == [Answer.LOST] * 2
        assert one.picture() == before
        assert [one.redrive("first"), two.redrive("first")] == [[Answer.DONE], [Answer.WRONG_STATE]]
        assert [one.remove("second"), two.remove("second")] == [[Answer.DONE], [Answer.MISSING]]
        assert one.ids(State.READY) == ["first"]


def _where(client: Client, id: str) -> list[State]:
    """In which states' listings a job is; what else is told of it must agree."""
    states = [state for state in State if id in client.ids(state)]
    assert [state for state in State if getattr(client.counts(), state.value)] == states
    (entry,) = client.backend.get("q", [id])
    assert ([entry.state] if entry else []) == states
    return states
