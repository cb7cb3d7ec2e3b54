"""Calls made at the same time: their answers are recorded, and must be those of some order of the calls."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import partial
from itertools import count
from threading import Barrier
from typing import Final

import pytest

from jobcore.backend import Backend, Hold
from jobcore.conformance.client import Client
from jobcore.conformance.concurrency_conservation import Crowd
from jobcore.conformance.concurrency_hammer import SHORT, Hammer
from jobcore.conformance.concurrency_job import Job, after, looks
from jobcore.conformance.concurrency_processes import by_processes
from jobcore.conformance.concurrency_told import told
from jobcore.conformance.effort import Effort
from jobcore.conformance.harness import Harness
from jobcore.conformance.history import Operation, by_job
from jobcore.conformance.kept import Seeds
from jobcore.conformance.linearizability import Unexplained, first_unexplained, shortest
from jobcore.conformance.outages import Record, variant
from jobcore.conformance.threads import PATIENCE, together
from jobcore.prove.checker import check

CLIENTS: Final = 4
ROUNDS: Final = 30
"""Calls of each client in a history."""

_AGAIN: Final = "The seed of this run draws the same calls again; how they meet is up to the machine."

_queues: Final = (f"concurrent-{n}" for n in count(1))


class Concurrency:
    """Each call has its effect at one moment between its beginning and its end, as if calls came one after another."""

    def test_threads_at_once_find_jobs_as_one_after_another_would(
        self, harness: Harness, one: Client, two: Client, effort: Effort, record_property: Record
    ) -> None:
        kept, examples = Seeds(harness, "Concurrency"), 0
        for number in effort.rounds():
            histories = 1 + (effort.examples or harness.examples) // 4
            for seed in [*kept, *range(number, number + histories)]:
                wrong = _wrong(_by_threads(harness, [one.backend, two.backend], seed))
                kept.note(seed, failed=wrong is not None)
                _check(wrong)
                examples += 1
            record_property("examples", examples)

    def test_so_do_processes(
        self, harness: Harness, one: Client, two: Client, effort: Effort, record_property: Record
    ) -> None:
        queue = next(_queues)
        one.counts(queue)
        opening = harness.elsewhere()
        history = by_processes(opening, queue, effort.seed) if opening else None
        if history is None:
            variant(record_property, "calls at once were made by threads of one process")
            history = _by_threads(harness, [one.backend, two.backend], effort.seed)
        _check(_wrong(history))

    def test_what_goes_in_at_once_comes_out(self, harness: Harness, one: Client, two: Client, effort: Effort) -> None:
        queue = next(_queues)
        found = check(Crowd(harness, [one.backend, two.backend], queue, effort.seed).work())
        one.backend.destroy(queue)
        assert found.run, "nothing was run"
        assert (found.lost, found.unexpected, found.stale) == ([], [], [])
        assert [each for each in found.duplicates if not each.reason] == []


class _Meeting:
    """Lets threads go on together: a barrier alone would wake them one after another."""

    def __init__(self, parties: int) -> None:
        self._parties = parties
        self._barrier = Barrier(parties, timeout=PATIENCE)
        self._arrived: list[None] = []

    def __call__(self) -> None:
        self._barrier.wait()
        self._arrived.append(None)
        while len(self._arrived) % self._parties:
            time.sleep(0)


def _by_threads(harness: Harness, backends: list[Backend], seed: int) -> list[Operation]:
    """A history of threads that share two clients of the store; the first of them moves the clock."""
    queue, tokens = next(_queues), list[Hold]()
    meet = _Meeting(CLIENTS)
    hammers = [Hammer(backends[n % 2], queue, n, seed, tokens, meet) for n in range(CLIENTS)]
    if harness.clock:
        hammers[0].pass_time = partial(harness.advance, SHORT / 1_000_000)
    histories = together(*[partial(hammer.strike, ROUNDS) for hammer in hammers])
    last = Hammer(backends[0], queue, CLIENTS, seed, [], int).look_at_all()
    backends[0].destroy(queue)
    return [*last, *(operation for history in histories for operation in history)]


def _wrong(history: Iterable[Operation]) -> Unexplained[Job] | None:
    """The first answer of a job that no order of its operations explains."""
    found = (first_unexplained(operations, Job(), after) for operations in by_job(history).values())
    return next((one for one in found if one), None)


def _check(wrong: Unexplained[Job] | None) -> None:
    if wrong:
        pytest.fail(f"{told(shortest(wrong, after, looks))}\n\n{_AGAIN}", pytrace=False)
