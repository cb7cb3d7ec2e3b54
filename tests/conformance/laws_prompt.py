"""Law 13: who waits is woken."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Final

import pytest

from jobcore.backend import Fail, Keep, Outcome, QueueClosed, Retry, Return, State, Succeed, Wakes
from jobcore.conformance.client import Client
from jobcore.conformance.laws_outages import PromptAfterCuts
from jobcore.conformance.outages import Record, variant
from jobcore.conformance.threads import PATIENCE, together

ROUNDS = 20
POLLS = 3
"""Rounds where nobody is woken, and each takes as long as it is between two looks."""

PROMPT = 4.0
"""Seconds for which the jobs of all rounds may wait: where nobody is woken, and waiters look again after a second, they
wait for nearly twenty. Time that a slow machine takes for other calls does not count.
"""

LOST = 10.0
"""Seconds after which a job is not waited for any more, of which nobody told in ten looks."""

CALLS = 10
"""So many calls are made before a job is: in their time the waiter has fallen asleep."""

READY_AGAIN: Final[dict[str, Outcome]] = {"returned": Return(), "retried": Retry(), "redriven": Fail()}


class Law13Prompt(PromptAfterCuts):
    """13. Prompt. With polling off, an idle worker still starts a pushed job, and a delayed one at its time.

    Without `Wakes`, or where it does not wake (see `Harness.prompt`), the bound is the poll interval: the same is
    asked of a worker that polls, and the verdict is `variant`.
    """

    def test_a_waiter_is_woken_by_each_push(self, one: Client, two: Client, record_property: Record) -> None:
        _serve(one, two.push, record_property)

    def test_a_delayed_job_is_started_at_its_time(self, one: Client, two: Client, record_property: Record) -> None:
        for n in range(_rounds(one)):
            two.push(f"{n}", delay=n + 1, priority=n)  # those of a higher priority are due later: they hide none
        places = {entry.id: entry.place for entry in two.listing(State.SCHEDULED)}
        _serve(one, lambda name: two.reach(places[name]), record_property)

    @pytest.mark.parametrize("way", READY_AGAIN)
    def test_a_job_that_becomes_ready_again_wakes_too(
        self, one: Client, two: Client, way: str, record_property: Record
    ) -> None:
        two.push(*[f"{n}" for n in range(_rounds(one))])
        held = {claim.id: claim for claim in two.claim(lease=1000)}

        def feed(id: str) -> None:
            two.settle(READY_AGAIN[way], held[id])
            if way == "redriven":
                two.redrive(id)

        _serve(one, feed, record_property)

    def test_an_earlier_job_than_the_one_waited_for_is_seen(self, one: Client, two: Client) -> None:
        two.push("late", delay=10_000)
        (got, _) = together(partial(_next, one), partial(_pushed, two, "early"))
        assert got == "early"

    def test_each_ready_job_wakes_a_waiter(self, one: Client, two: Client, record_property: Record) -> None:
        takers = [partial(_next, client) for client in (one, one, two)]
        ready, waited = list[float](), 0.0
        for n in range(_rounds(one)):
            ids = [f"{n}{letter}" for letter in "abc"]
            got = together(*takers, partial(_pushed, two, *ids, ready=ready))
            assert sorted(got[:3]) == ids
            waited += time.monotonic() - ready[-1]
            _check_prompt(one, waited)
        _tell_variant(one, record_property)

    def test_any_of_several_queues_wakes(self, one: Client, two: Client) -> None:
        queues = ["q", "r", "s"]
        for queue in queues:
            got, _ = together(partial(_next, one, queues), partial(_pushed, two, queue, queue=queue))
            assert got == queue

    def test_what_is_due_already_is_told_without_waiting(self, one: Client, two: Client) -> None:
        if not isinstance(one.backend, Wakes):
            assert two.claim() == []
            return
        two.push("a")
        began = time.monotonic()
        for _ in range(ROUNDS):
            assert "q" in one.backend.wait(["q", "r"], 1.0)
        assert time.monotonic() - began < PROMPT

    def test_waiting_for_nothing_ends(self, one: Client) -> None:
        assert _wait(one, ["q"], 0.0) <= {"q"}
        assert _wait(one, ["q"], 0.01) <= {"q"}
        assert _wait(one, ["q", "r"], 0.01) <= {"q", "r"}
        assert one.claim() == []

    def test_waiting_changes_nothing(self, one: Client) -> None:
        one.push("a")
        one.push("b", delay=5)
        before = one.picture()
        _wait(one, ["q"], 0.01)
        assert one.picture() == before

    def test_a_closed_backend_refuses_to_wait(self, one: Client) -> None:
        wakes = isinstance(one.backend, Wakes)
        one.backend.close()
        with pytest.raises(QueueClosed):
            one.backend.wait(["q"], 1.0) if wakes else one.counts()  # type: ignore[attr-defined]  # it was looked at

    def test_a_waiter_leaves_when_its_backend_is_closed(self, one: Client) -> None:
        def wait() -> bool:
            try:
                _next(one)
            except QueueClosed:
                return True
            return False

        def close() -> bool:
            one.backend.close()
            return True

        assert together(wait, close) == [True, True]


def _serve(client: Client, feed: Callable[[str], object], record_property: Record) -> None:
    """Have an idle worker wait for job after job, each made ready by `feed`, and see that it got them soon."""
    idle, rounds, ready = threading.Semaphore(0), _rounds(client), list[float]()

    def work() -> list[str]:
        got, waited = [], 0.0
        try:
            for _ in range(rounds):
                idle.release()
                got.append(_next(client))
                waited += time.monotonic() - ready[-1]
                _check_prompt(client, waited)
        finally:
            idle.release(rounds)  # nobody waits for one who has given up
        return got

    def produce() -> list[str]:
        for n in range(rounds):
            assert idle.acquire(timeout=PATIENCE)
            _let_sleep(client)
            ready.append(time.monotonic())
            feed(f"{n}")
        return []

    got, _ = together(work, produce)
    assert got == [f"{n}" for n in range(rounds)]
    _tell_variant(client, record_property)


def _rounds(client: Client) -> int:
    return ROUNDS if _prompt(client) else POLLS


def _prompt(client: Client) -> bool:
    return client.harness.prompt and isinstance(client.backend, Wakes)


def _check_prompt(client: Client, waited: float) -> None:
    assert not _prompt(client) or waited < PROMPT, "waiters are not woken, but look again"


def _tell_variant(client: Client, record_property: Record) -> None:
    if not _prompt(client):
        variant(record_property, "a worker polled, for nobody is woken")


def _let_sleep(client: Client) -> None:
    """Spend the time in which a waiter looks in vain and falls asleep."""
    for _ in range(CALLS):
        client.counts()


def _wait(client: Client, queues: list[str], timeout: float) -> set[str]:
    """Wait as the backend can; where it can't, look at all queues: that is a worker that polls."""
    if isinstance(client.backend, Wakes):
        return client.backend.wait(queues, timeout)
    return set(queues)


def _next(client: Client, queues: list[str] | None = None) -> str:
    """What an idle worker does: wait, claim where it was told to, and settle."""
    deadline = time.monotonic() + LOST
    while time.monotonic() < deadline:
        for queue in _wait(client, queues or ["q"], 1.0):
            for claim in client.claim(1, queue=queue):
                client.settle(Succeed(), claim, queue=queue, keep=Keep(succeeded=100))
                return claim.id
    raise AssertionError("nobody told of a job that is due")


def _pushed(client: Client, *ids: str, queue: str = "q", ready: list[float] | None = None) -> str:
    _let_sleep(client)
    if ready is not None:
        ready.append(time.monotonic())
    client.push(*ids, queue=queue)
    return ""
