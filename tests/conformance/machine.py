"""Random histories: the store and the model take the same steps, and must agree after each."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, Final, TypeAlias, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from jobcore.backend import REDRIVABLE, Fail, Keep, Outcome, Push
from jobcore.conformance import draws
from jobcore.conformance.client import NO_BOUND, new_call
from jobcore.conformance.counterexample import Disagreement, told
from jobcore.conformance.effort import Effort
from jobcore.conformance.faults import Loss
from jobcore.conformance.harness import Harness
from jobcore.conformance.model import Job
from jobcore.conformance.pair import Pair

STEPS: Final = 40
MANY: Final = 12

SHORTENING: Final = 15.0
"""Seconds that are spent on making a history that fails shorter."""

F = TypeVar("F", bound=Callable[..., None])
Record: TypeAlias = Callable[[str, object], None]

_queues: Final = (f"history-{n}" for n in count(1))
_weights: Final[dict[str, int]] = {}
_arguments: Final[dict[str, st.SearchStrategy[dict[str, Any]]]] = {}


class Histories:
    """All laws at once, on random histories of two clients, with replies lost and clients that die."""

    def test_any_history_is_the_models(self, harness: Harness, effort: Effort, record_property: Record) -> None:
        examples = 0
        for number in effort.rounds():
            examples += _try_round(harness, number, effort.examples or harness.examples)
            record_property("examples", examples)


class _ShortEnough(BaseException):
    """No more time is spent on a shorter history. Hypothesis lets pass what is no Exception."""


def _try_round(harness: Harness, number: int, examples: int) -> int:
    """Try some histories, drawn from the seed `number`, and return how many there were."""
    pairs: deque[Pair] = deque(maxlen=1)
    wrong: list[tuple[Pair, Disagreement]] = []
    machines = count()

    def note() -> None:
        wrong.extend((pair, pair.wrong) for pair in pairs if pair.wrong)

    def make() -> Machine:
        note()
        if wrong and time.monotonic() - wrong[0][1].at > SHORTENING:
            raise _ShortEnough
        next(machines)
        machine = Machine(harness)
        pairs.append(machine.pair)
        return machine

    try:
        run_state_machine_as_test(seed(number)(make), settings=_settings(examples))  # type: ignore[arg-type]  # as Machine
    except (Exception, _ShortEnough):  # when it is stopped, Hypothesis may complain of that
        note()
        if not wrong:
            raise
    if wrong:
        pair, error = min(wrong, key=lambda one: len(one[0].history))
        pytest.fail(told(error, pair.history, pair.tokens, harness.url, pair.began), pytrace=False)
    return next(machines)


def _settings(examples: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        deadline=None,
        report_multiple_bugs=False,
        phases=[phase for phase in Phase if phase is not Phase.explain],  # the table tells more, and sooner
        suppress_health_check=list(HealthCheck),
    )


def step(weight: int, **arguments: st.SearchStrategy[Any]) -> Callable[[F], F]:
    """Make a method a step, taken as often as its weight says.

    Steps stand in for Hypothesis's rules: of those, it leaves out about half in each history, and a history
    without pushes, claims or settlements has nothing to tell.
    """

    def register(method: F) -> F:
        _weights[method.__name__] = weight
        _arguments[method.__name__] = st.fixed_dictionaries(arguments)
        return method

    return register


def _any_step() -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    names = [name for name, weight in _weights.items() for _ in range(weight)]
    return st.sampled_from(names).flatmap(lambda name: st.tuples(st.just(name), _arguments[name]))


class Machine(RuleBasedStateMachine):
    """A queue of its own in the harness's store, and its model."""

    def __init__(self, harness: Harness) -> None:
        super().__init__()
        self.pair = Pair(harness, next(_queues))
        self.serial = count(1)

    @initialize(pushes=draws.PUSHES)
    def begin(self, pushes: list[Push]) -> None:
        """Have something to begin with."""
        self.push(0, pushes, None, Loss.NOTHING)

    @rule(step=st.deferred(_any_step))
    def take(self, step: tuple[str, dict[str, Any]]) -> None:
        """Take a step."""
        name, arguments = step
        getattr(self, name)(**arguments)

    @invariant()
    def store_and_model_agree(self) -> None:
        """After each step."""
        self.pair.agree()

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.pair.close()

    # -- the verbs

    @step(3, who=draws.WHO, pushes=draws.PUSHES, run_at=draws.RUN_ATS, loss=draws.LOSSES)
    def push(self, who: int, pushes: list[Push], run_at: int | None, loss: Loss) -> None:
        """Push a batch of all sorts."""
        first, *rest = pushes
        self.pair.both(
            who, loss, "push", [self.pair.timed(first, run_at), *(self.pair.timed(push, None) for push in rest)]
        )

    @step(1, who=draws.WHO, jobs=st.integers(1, 4))
    def push_plainly(self, who: int, jobs: int) -> None:
        """Push jobs that are alike and due at once: they stand or fall by `seq` alone."""
        self.pair.both(who, Loss.NOTHING, "push", [Push(f"plain {next(self.serial)}", b"{}") for _ in range(jobs)])

    @step(3, who=draws.WHO, grant=draws.GRANTS, max_bytes=draws.BYTES, loss=draws.LOSSES)
    def claim(self, who: int, grant: draws.Grant, max_bytes: int, loss: Loss) -> None:
        """Claim."""
        self.pair.claim(who, loss, *self._granted(grant), max_bytes)

    @step(2, who=draws.WHO, grant=draws.GRANTS, of=st.none() | draws.HOLDERS, loss=draws.LOSSES)
    def reclaim(self, who: int, grant: draws.Grant, of: str | None, loss: Loss) -> None:
        """Reclaim."""
        self.pair.reclaim(who, loss, *self._granted(grant), of)

    @step(1, who=draws.WHO, which=st.integers(0, 5), limit=draws.LIMITS)
    def repeat_an_old_call(self, who: int, which: int, limit: int) -> None:
        """Claim or reclaim with a call that was used before; if it holds nothing by now, it is a new one."""
        if calls := self.pair.calls:
            verb, arguments = calls[-1 - which % len(calls)]
            getattr(self.pair, verb)(who, Loss.NOTHING, limit, *arguments[1:])

    @step(2, who=draws.WHO, tokens=draws.TOKENS, lease=draws.LEASES, loss=draws.LOSSES)
    def extend(self, who: int, tokens: list[draws.Token], lease: int, loss: Loss) -> None:
        """Extend leases, some of them of stale and forged tokens."""
        self.pair.both(who, loss, "extend", [self.pair.hold(*token) for token in tokens], self.pair.span(lease))

    @step(3, who=draws.WHO, settlements=draws.SETTLEMENTS, keep=draws.KEEPS, loss=draws.LOSSES)
    def settle(self, who: int, settlements: list[tuple[draws.Token, Outcome]], keep: Keep, loss: Loss) -> None:
        """Settle a batch, some of it by stale and forged tokens."""
        made = [(self.pair.hold(*token), self.pair.spanned(outcome)) for token, outcome in settlements]
        self.pair.both(who, loss, "settle", made, keep)

    @step(2, who=draws.WHO, some=draws.SOME, loss=draws.LOSSES)
    def redrive(self, who: int, some: list[int], loss: Loss) -> None:
        """Redrive some that have failed, and some others."""
        failed = [job for job in self.pair.model.jobs if job.state in REDRIVABLE]
        ids = ["none", *_choice(failed, some), *_choice(self.pair.model.jobs, some[2:])]
        self.pair.both(who, loss, "redrive", ids)

    @step(1, who=draws.WHO, some=draws.SOME, loss=draws.LOSSES)
    def remove(self, who: int, some: list[int], loss: Loss) -> None:
        """Remove some of what is there."""
        self.pair.both(who, loss, "remove", ["none", *_choice(self.pair.model.jobs, some)])

    @step(1, who=draws.WHO, loss=draws.LOSSES)
    def destroy(self, who: int, loss: Loss) -> None:
        """Destroy the queue, though not soon: what is not there can't be wrong. Remembered ids would be worth it."""
        model = self.pair.model
        if len(model.jobs) > MANY or sum(until > model.now for until in model.remembered.values()) > 1:
            self.pair.both(who, loss, "destroy")

    # -- the world

    @step(2, who=draws.WHO, holder=draws.HOLDERS, outcomes=draws.OUTCOMES_OF_A_BATCH, keep=draws.KEEPS)
    def work(self, who: int, holder: str, outcomes: list[Outcome], keep: Keep) -> None:
        """Claim and settle, as workers do all day: the other steps then find jobs in every state."""
        grant = (len(outcomes), draws.SECOND, holder)
        claims = self.pair.claim(who, Loss.NOTHING, *self._granted(grant), NO_BOUND)
        holds = [claim.hold for claim in claims]
        self.pair.both(who, Loss.NOTHING, "settle", [*zip(holds, map(self.pair.spanned, outcomes), strict=False)], keep)

    @step(1, who=draws.WHO, of=draws.HOLDERS, keep=draws.KEEPS)
    def give_up(self, who: int, of: str, keep: Keep) -> None:
        """Take over what a holder known dead has, and fail it, as monitors do with what was lost too often."""
        claims = self.pair.reclaim(who, Loss.NOTHING, *self._granted((4, draws.SECOND, "g")), of)
        self.pair.both(who, Loss.NOTHING, "settle", [(claim.hold, Fail()) for claim in claims], keep)

    @step(3, which=st.integers(0, 5), off=st.sampled_from([0, -1, 1, draws.SECOND]))
    def let_time_pass(self, which: int, off: int) -> None:
        """Let the clock come to where something is due, runs out or is forgotten, or to just before or after."""
        if self.pair.harness.clock:
            deadlines = self.pair.model.deadlines() or [self.pair.model.now]
            self.pair.reach(deadlines[which % len(deadlines)] + off)

    @step(1, who=draws.WHO)
    def close_a_client(self, who: int) -> None:
        """One is closed in good order, and another opens the store."""
        self.pair.close_client(who)
        self.pair.replace_client(who)

    @step(1, who=draws.WHO, grant=draws.GRANTS)
    def die_before_the_answer(self, who: int, grant: draws.Grant) -> None:
        """A claim is carried out, its client never hears of it, and another opens the store."""
        arguments = (*self._granted(grant), NO_BOUND)
        self.pair.lose(who, Loss.ANSWER, "claim", *arguments)
        self.pair.model.claim(*arguments)
        self.pair.replace_client(who)

    def _granted(self, grant: draws.Grant) -> tuple[int, int, str, bytes]:
        """What claim and reclaim have in common."""
        limit, lease, holder = grant
        return limit, self.pair.span(lease), holder, new_call()


def _choice(jobs: Sequence[Job], some: Sequence[int]) -> list[str]:
    """The ids of the jobs of these numbers, counted round."""
    return [jobs[number % len(jobs)].push.id for number in some] if jobs else []
