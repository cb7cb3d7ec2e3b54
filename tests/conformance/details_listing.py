"""Fixed details: what can be seen of a queue, and in which order."""

from __future__ import annotations

import pytest

from jobcore.backend import FINISHED, Counts, Entry, Fail, Retry, State, Succeed
from jobcore.conformance.client import Client


class Listing:
    """READY and SCHEDULED are listed by key, RUNNING by start, the rest newest settled first.

    A job that stays in its state throughout a paged listing is given exactly once.
    """

    def test_ready_and_scheduled_are_listed_by_key(self, one: Client) -> None:
        for priority in (-100, -9, 0, 10, 100):
            for delay in (0, 9, 5):
                one.push(f"{priority} in {delay}", priority=priority, delay=delay)
        assert one.ids(State.READY) == [f"{priority} in 0" for priority in (100, 10, 0, -9, -100)]
        later = [f"{priority} in {delay}" for priority in (100, 10, 0, -9, -100) for delay in (5, 9)]
        assert one.ids(State.SCHEDULED) == later

    def test_a_job_passes_from_scheduled_to_ready_at_its_time(self, one: Client) -> None:
        one.push("a", delay=5)
        place = one.entry("a").place
        one.reach_before(place)
        assert (one.ids(State.SCHEDULED), one.counts()) == (["a"], Counts(scheduled=1))
        one.reach(place)
        assert (one.ids(State.SCHEDULED), one.counts()) == ([], Counts(ready=1))
        assert one.entry("a").state is one.listing(State.READY)[0].state is State.READY

    def test_running_jobs_are_listed_by_start(self, one: Client, two: Client) -> None:
        for priority, id in enumerate("abc"):
            one.push(id, priority=priority)
        for id in "cba":
            (claim,) = one.claim(1, lease=1 if id == "c" else 20)
            assert claim.id == id
            one.elapse(1)
        two.reclaim()
        assert one.ids(State.RUNNING) == ["c", "b", "a"]

    @pytest.mark.parametrize("state", sorted(FINISHED))
    def test_finished_jobs_are_listed_newest_first(self, one: Client, state: State) -> None:
        outcome = Succeed() if state is State.SUCCEEDED else Fail(state)
        one.push(*"abcdef")
        claims = {claim.id: claim for claim in one.claim()}
        one.settle(outcome, claims["c"], claims["a"])
        one.elapse(1)
        one.settle(outcome, claims["b"])
        one.settle(outcome, claims["f"], claims["d"], claims["e"])
        for size in (1, 2, 100):
            assert [entry.id for entry in one.listing(state, size=size)] == list("edfbac")

    @pytest.mark.parametrize("size", [1, 2, 3, 7, 8])
    @pytest.mark.parametrize("state", State)
    def test_pages_of_any_size_make_the_same_listing(self, one: Client, two: Client, state: State, size: int) -> None:
        _many(one, state, 7)
        whole = two.listing(state)
        assert len(whole) == 7
        assert two.listing(state, size=size) == whole
        sizes = [len(page) for page in one.pages(state, size)]
        assert sizes == [size] * (7 // size) + [7 % size] * bool(7 % size)

    def test_a_cursor_serves_any_client(self, one: Client, two: Client) -> None:
        _many(one, State.READY, 5)
        page = one.backend.peek("q", State.READY, 2)
        assert [entry.id for entry in two.backend.peek("q", State.READY, 9, page.next).entries] == [
            f"ready {n}" for n in (2, 3, 4)
        ]

    @pytest.mark.parametrize("state", State)
    def test_an_empty_listing_is_one_empty_page(self, one: Client, state: State) -> None:
        for other in reversed(State):  # READY is the last: the others are brought to their states by claims
            if other is not state:
                _many(one, other, 2)
        assert [list(page) for page in one.pages(state, 5)] == [[]]

    @pytest.mark.parametrize("state", [State.READY, State.SCHEDULED, *sorted(FINISHED)])
    def test_what_stays_is_listed_once_though_its_neighbours_go(self, one: Client, two: Client, state: State) -> None:
        _many(one, state, 12)
        ids = one.ids(state)
        seen: list[str] = []
        for number, page in enumerate(one.pages(state, 3)):
            seen += [entry.id for entry in page]
            if number == 0:
                assert len(two.remove(*ids[1:5], ids[8])) == 5
        assert seen == [*ids[:3], *ids[5:8], *ids[9:]]

    @pytest.mark.parametrize("state", State)
    def test_what_stays_is_listed_once_though_others_come(self, one: Client, two: Client, state: State) -> None:
        _many(one, state, 6)
        ids = one.ids(state)
        seen: list[str] = []
        for page in one.pages(state, 2):
            seen += [entry.id for entry in page]
            if len(seen) < 12:
                two.put(f"new {len(seen)}", state)
        assert [id for id in seen if id in ids] == ids
        assert len(seen) == len(set(seen))

    def test_a_running_job_is_listed_once_though_it_is_taken_over(self, one: Client, two: Client) -> None:
        _many(one, State.RUNNING, 6)
        seen: list[str] = []
        for page in one.pages(State.RUNNING, 2):
            seen += [entry.id for entry in page]
            two.reclaim(3, of="one")
            one.extend(*[claim.hold for claim in one.reclaim(1, of="two")], lease=500)
        assert sorted(seen) == [f"running {n}" for n in range(6)]

    def test_failed_and_timed_out_are_listed_apart(self, one: Client) -> None:
        one.push(*"abcdef")
        for n, claim in enumerate(one.claim()):
            one.settle(Fail(State.TIMED_OUT if n % 2 else State.FAILED), claim)
        for size in (1, 2, 100):
            assert [entry.id for entry in one.listing(State.FAILED, size=size)] == ["e", "c", "a"]
            assert [entry.id for entry in one.listing(State.TIMED_OUT, size=size)] == ["f", "d", "b"]


class Looking:
    """`get`, `counts` and listings tell the same."""

    def test_get_answers_each_id_in_its_place(self, one: Client) -> None:
        one.push("a", "b")
        entries = one.backend.get("q", ["b", "missing", "a", "b"])
        assert [entry.id if entry else None for entry in entries] == ["b", None, "a", "b"]

    @pytest.mark.parametrize("state", State)
    def test_a_listing_tells_what_get_tells(self, one: Client, state: State) -> None:
        _many(one, state, 3)
        listed = one.listing(state)
        assert one.backend.get("q", [entry.id for entry in listed]) == listed

    def test_counts_count_each_state(self, one: Client) -> None:
        for n, state in enumerate(reversed(State), 1):
            _many(one, state, n)
        assert one.counts() == Counts(**{state.value: n for n, state in enumerate(reversed(State), 1)})

    def test_jobs_of_one_call_are_counted_each(self, one: Client) -> None:
        one.push(*"abcde")
        one.settle(Fail(), *one.claim(3)[1:])
        one.claim(2)
        assert one.counts() == Counts(running=3, failed=2)

    def test_counts_of_an_unknown_queue_are_0(self, one: Client) -> None:
        assert one.counts("never-used") == Counts()

    @pytest.mark.parametrize("state", State)
    def test_an_entry_tells_what_its_state_has(self, one: Client, state: State) -> None:
        entry = one.put("a", state, payload=b"p", priority=-7)
        running, finished = state is State.RUNNING, state in FINISHED
        assert (entry.id, entry.state, entry.payload, entry.priority, entry.lost) == ("a", state, b"p", -7, 0)
        assert entry.attempt == (running or finished)
        assert (entry.started_at is not None) is (running or finished)
        assert (entry.lease_until is not None) is running
        assert (entry.holder is not None) is running
        assert (entry.finished_at is not None) is finished
        assert entry.reason == ("why" if finished and state is not State.SUCCEEDED else None)
        assert entry.value is None

    def test_a_retried_job_has_left_its_run_behind(self, one: Client) -> None:
        claim = one.take("a")
        one.settle(Retry(one.units(5), "later"), claim)
        entry = one.entry("a")
        assert entry == Entry(
            "a", State.SCHEDULED, b"{}", 0, entry.place, attempt=1, lost=0, pushed_at=claim.pushed_at, reason="later"
        )

    def test_a_success_after_failures_has_no_reason(self, one: Client) -> None:
        one.settle(Fail(reason="no"), one.take("a"))
        one.redrive("a")
        one.settle(Succeed(b"1"), *one.claim())
        assert (one.entry("a").reason, one.entry("a").value) == (None, b"1")


def _many(client: Client, state: State, jobs: int) -> None:
    """Bring so many jobs into one state, one after another."""
    for n in range(jobs):
        if state is State.READY:  # unlike `put`, others may be ready by now
            client.push(f"{state.value} {n}")
        else:
            client.put(f"{state.value} {n}", state)
