"""Random histories: the store and the model take the same steps, and must agree after each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from typing import Final, NoReturn, TypeAlias

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from jobcore.backend import BackendError
from jobcore.conformance.counterexample import Disagreement, told
from jobcore.conformance.effort import Effort
from jobcore.conformance.harness import Harness
from jobcore.conformance.kept import failures
from jobcore.conformance.machine import Machine
from jobcore.conformance.pair import Pair
from jobcore.conformance.shortening import Tries, shortened, simplified
from jobcore.conformance.steps import Step

STEPS: Final = 40

TRIES: Final = 200
"""How often a shorter history is tried in the place of one that fails."""

Record: TypeAlias = Callable[[str, object], None]

_queues: Final = (f"history-{n}" for n in count(1))


class Histories:
    """All laws at once, on random histories of two clients, with replies lost and clients that die."""

    def test_any_history_is_the_models(self, harness: Harness, effort: Effort, record_property: Record) -> None:
        examples = 0
        for number in effort.rounds():
            examples += try_round(harness, number, effort.examples or harness.examples)
            record_property("examples", examples)


def try_round(harness: Harness, number: int, examples: int) -> int:
    """Try some histories, drawn from the seed `number`, and return how many there were."""
    wrong: list[Pair] = []
    machines = count()

    def make() -> Machine:
        next(machines)
        return Machine(harness, next(_queues), wrong)

    try:
        run_state_machine_as_test(seed(number)(make), settings=_settings(harness, examples))  # type: ignore[arg-type]  # as Machine
    except Exception:
        if not wrong:
            raise
    if wrong:
        _fail(shortest(wrong[0]))
    return next(machines)


def _settings(harness: Harness, examples: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        database=failures(harness),
        deadline=None,
        report_multiple_bugs=False,
        phases=[Phase.reuse, Phase.generate],  # it draws choices, and knows too little of steps to leave some out
        suppress_health_check=list(HealthCheck),
    )


def _fail(pair: Pair) -> NoReturn:
    assert pair.wrong
    clock = pair.began if pair.harness.clock else None
    pytest.fail(told(pair.wrong, pair.history, pair.harness.url, clock), pytrace=False)


def shortest(pair: Pair) -> Pair:
    """The same disagreement after fewer and plainer steps."""
    assert pair.wrong
    law, found = pair.wrong.law, [pair]

    def fails(steps: Sequence[Step]) -> bool:
        tried = _replayed(pair.harness, steps)
        if same := tried.wrong is not None and tried.wrong.law == law:
            found.append(tried)
        return same

    with suppress(BackendError):
        tries = Tries(fails, TRIES)
        steps = simplified(shortened([step for step, _ in pair.history], tries), tries)
        shortened(steps, tries)
    return found[-1]


def _replayed(harness: Harness, steps: Sequence[Step]) -> Pair:
    """What comes of these steps on another queue, up to the first that store and model disagree on."""
    pair = Pair(harness, next(_queues))
    try:
        for step in steps:
            pair.take(step)
    except Disagreement:
        pass
    finally:
        pair.close()
    return pair
