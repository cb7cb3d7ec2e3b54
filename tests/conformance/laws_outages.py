"""Laws 1, 5 and 13 while connections are cut and the store is started again: parts of their classes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeVar

from jobcore.backend import Answer, Counts, Fail, Pushed, State, Succeed, Uncertain, Wakes
from jobcore.conformance.client import ROOMY, Client, new_call
from jobcore.conformance.harness import Harness
from jobcore.conformance.outages import NO_CUTS, Line, Record, attempt, insist, restarted, variant
from jobcore.conformance.threads import PATIENCE, together

T = TypeVar("T")

ROUNDS: Final = 12
"""Rounds of calls, with a cut before or in each."""

BATCH: Final = 3


class KeptThroughOutages:
    """The part of law 1 that is about stores that are away."""

    def test_all_is_there_after_a_restart(
        self, harness: Harness, one: Client, two: Client, record_property: Record
    ) -> None:
        one.push("remembered", remember=1000)
        one.remove("remembered")
        for state in reversed(State):
            one.put(state.value, state, payload=state.value.encode())
        (held,) = [entry.id for entry in one.listing(State.RUNNING)]
        before = one.picture()
        restarted(harness, one, two, record_property)
        assert one.picture() == before
        assert [pushed.created for pushed in two.push("remembered", held)] == [False, False]

    def test_a_token_outlives_a_restart(
        self, harness: Harness, one: Client, two: Client, record_property: Record
    ) -> None:
        one.push("a", "b")
        call = new_call()
        a, b = one.claim(call=call)
        restarted(harness, one, two, record_property)
        assert one.claim(call=call) == [a, b]
        assert one.extend(a.hold) == [Answer.HELD]
        assert two.settle(Fail(), a, b) == [Answer.DONE] * 2
        assert two.redrive("a") == [Answer.DONE]
        (again,) = one.claim()
        assert again.fence > a.fence

    def test_what_was_acknowledged_is_there_though_connections_are_cut(
        self, one: Client, two: Client, record_property: Record
    ) -> None:
        line = Line(one, record_property)
        answers: dict[str, object] = {}

        def push(part: str) -> None:
            ids = [f"{part}.{item}" for item in range(BATCH)]
            answers[part] = attempt(partial(line.client.push, *ids))

        def cut() -> None:
            line.cut()
            insist(two.counts)

        for n in range(ROUNDS):  # a cut that comes after both pushes of its round meets those of the next
            together(cut, partial(push, f"a{n}"), partial(push, f"b{n}"))
        (stored, _) = insist(partial(one.ids, State.READY))
        for name, answer in answers.items():
            kept = [id for id in stored if id.partition(".")[0] == name]
            possible = {0, BATCH} if isinstance(answer, Uncertain) else {BATCH if isinstance(answer, list) else 0}
            assert len(kept) in possible, f"{name}: {kept} are stored, and the answer was {answer}"


class RepeatedAfterCuts:
    """The part of law 5 that is about calls whose connection was cut before, or under way."""

    def test_calls_that_are_repeated_after_a_cut_do_no_harm(
        self, one: Client, two: Client, record_property: Record
    ) -> None:
        line = Line(one, record_property)
        cutter = _Cutter(line.cut)
        runs = [partial(_a_jobs_life, line.client, cutter, n) for n in range(ROUNDS)]
        together(cutter.serve, lambda: cutter.ended_by(runs))
        (entries, _) = insist(partial(two.listing, State.SUCCEEDED))
        assert sorted(entry.id for entry in entries) == sorted(id for n in range(ROUNDS) for id in _ids(n))
        assert {(entry.attempt, entry.lost) for entry in entries} == {(1, 0)}
        assert two.counts() == Counts(succeeded=ROUNDS * BATCH)


class PromptAfterCuts:
    """The part of law 13 that is about waiters whose connection is cut."""

    def test_a_waiter_that_was_cut_off_finds_its_jobs(
        self, harness: Harness, one: Client, two: Client, record_property: Record
    ) -> None:
        ids = [f"{n}" for n in range(ROUNDS)]

        def cut_and_push() -> list[str]:
            for id in ids:
                if not harness.cut():
                    variant(record_property, NO_CUTS)
                insist(partial(two.push, id))
            return []

        got, _ = together(lambda: [_found(one) for _ in ids], cut_and_push)
        assert got == ids


def _found(client: Client) -> str:
    """The next job that is due, whatever becomes of the connection on the way."""
    call, deadline = new_call(), time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if isinstance(client.backend, Wakes):
            insist(partial(client.backend.wait, ["q"], 1.0))
        claims, _ = insist(partial(client.claim, 1, call=call))
        if claims:
            insist(partial(client.settle, Succeed(), *claims))
            return claims[0].id
    raise AssertionError("nobody told of a job that is due")


class _Cutter:
    """Cuts a line: before a call or, in a thread of its own, while it is made."""

    def __init__(self, cut: Callable[[], None]) -> None:
        self._cut_off = cut
        self._cutting = threading.Lock()
        self._wanted = threading.Semaphore(0)
        self._ended = False

    def serve(self) -> None:
        """Cut whenever it is wanted, until the end."""
        while self._wanted.acquire(timeout=PATIENCE) and not self._ended:
            self._cut()

    def _cut(self) -> None:
        with self._cutting:
            self._cut_off()

    def ended_by(self, steps: Sequence[Callable[[], None]]) -> None:
        """Take the steps, and end."""
        try:
            for step in steps:
                step()
        finally:
            self._ended = True
            self._wanted.release()

    def during(self, call: Callable[[], T], *, before: bool) -> tuple[T, bool]:
        """Insist on a call that is cut off."""
        if before:
            self._cut()
        else:
            self._wanted.release()
        return insist(call)


def _ids(n: int) -> list[str]:
    return [f"{n}.{item}" for item in range(BATCH)]


def _a_jobs_life(client: Client, cutter: _Cutter, n: int) -> None:
    """Push, claim, extend and settle a batch; one of these is cut off, and all are repeated until answered."""

    def made(number: int, call: Callable[[], T]) -> tuple[T, bool]:
        return cutter.during(call, before=n % 2 == 0) if n // 2 % 4 == number else insist(call)

    pushed, repeated = made(0, partial(client.push, *_ids(n)))
    created = [[Pushed(id, created=new, state=State.READY) for id in _ids(n)] for new in (True, False)]
    assert pushed in created[: 1 + repeated]
    claims, _ = made(1, partial(client.claim, call=new_call()))
    assert [claim.id for claim in claims] == _ids(n)
    held, _ = made(2, partial(client.extend, *[claim.hold for claim in claims]))
    assert held == [Answer.HELD] * BATCH
    settled, repeated = made(3, partial(client.settle, Succeed(), *claims, keep=ROOMY))
    assert settled in [[Answer.DONE] * BATCH, [Answer.LOST] * BATCH][: 1 + repeated]
