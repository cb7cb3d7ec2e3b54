"""What random histories are: steps, drawn by weight, that a store and its model take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, Final, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from jobcore.backend import REDRIVABLE, Fail, Keep, Outcome, Push
from jobcore.conformance import draws
from jobcore.conformance.client import NO_BOUND, new_call
from jobcore.conformance.harness import Harness
from jobcore.conformance.model import Job
from jobcore.conformance.pair import Pair
from jobcore.conformance.steps import Step

MANY: Final = 12

F = TypeVar("F", bound=Callable[..., None])

_weights: Final[dict[str, int]] = {}
_arguments: Final[dict[str, st.SearchStrategy[dict[str, Any]]]] = {}


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
    """A random history of a queue, and of its model.

    Args:
        harness: has the store.
        queue: one that is used for nothing else.
        wrong: takes the pair if it comes to disagree.
    """

    def __init__(self, harness: Harness, queue: str, wrong: list[Pair]) -> None:
        super().__init__()
        self.pair = Pair(harness, queue)
        self.wrong = wrong
        self.serial = count(1)

    @initialize(pushes=draws.PUSHES)
    def begin(self, pushes: list[Push]) -> None:
        """Have something to begin with."""
        self.push(0, pushes, None, lost=False)

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
        """Leave nothing behind but what was found."""
        self.wrong += [self.pair] * (self.pair.wrong is not None)
        self.pair.close()

    # -- the verbs

    @step(3, who=draws.WHO, pushes=draws.PUSHES, run_at=draws.RUN_ATS, lost=draws.LOST)
    def push(self, who: int, pushes: list[Push], run_at: int | None, lost: bool) -> None:
        """Push a batch of all sorts."""
        first, *rest = pushes
        batch = [self.pair.timed(first, run_at), *(self.pair.timed(push, None) for push in rest)]
        self.pair.take(Step(who, "push", (batch,), lost))

    @step(1, who=draws.WHO, jobs=st.integers(1, 4))
    def push_plainly(self, who: int, jobs: int) -> None:
        """Push jobs that are alike and due at once: they stand or fall by `seq` alone."""
        batch = [Push(f"plain {next(self.serial)}", b"{}") for _ in range(jobs)]
        self.pair.take(Step(who, "push", (batch,)))

    @step(3, who=draws.WHO, grant=draws.GRANTS, max_bytes=draws.BYTES, lost=draws.LOST)
    def claim(self, who: int, grant: draws.Grant, max_bytes: int, lost: bool) -> None:
        """Claim."""
        self.pair.take(Step(who, "claim", (*self._granted(grant), max_bytes), lost))

    @step(2, who=draws.WHO, grant=draws.GRANTS, of=st.none() | draws.HOLDERS, lost=draws.LOST)
    def reclaim(self, who: int, grant: draws.Grant, of: str | None, lost: bool) -> None:
        """Reclaim."""
        self.pair.take(Step(who, "reclaim", (*self._granted(grant), of), lost))

    @step(1, who=draws.WHO, which=st.integers(0, 5), limit=draws.LIMITS)
    def repeat_an_old_call(self, who: int, which: int, limit: int) -> None:
        """Claim or reclaim with a call that was used before; if it holds nothing by now, it is a new one."""
        if calls := [step for step, _ in self.pair.history if step.verb in {"claim", "reclaim"}]:
            call = calls[-1 - which % len(calls)]
            self.pair.take(Step(who, call.verb, (limit, *call.arguments[1:])))

    @step(2, who=draws.WHO, tokens=draws.TOKENS, lease=draws.LEASES, lost=draws.LOST)
    def extend(self, who: int, tokens: list[draws.Token], lease: int, lost: bool) -> None:
        """Extend leases, some of them of stale and forged tokens."""
        batch = [self.pair.token(*token) for token in tokens]
        self.pair.take(Step(who, "extend", (batch, self.pair.span(lease)), lost))

    @step(3, who=draws.WHO, settlements=draws.SETTLEMENTS, keep=draws.KEEPS, lost=draws.LOST)
    def settle(self, who: int, settlements: list[tuple[draws.Token, Outcome]], keep: Keep, lost: bool) -> None:
        """Settle a batch, some of it by stale and forged tokens."""
        batch = [(self.pair.token(*token), self.pair.spanned(outcome)) for token, outcome in settlements]
        self.pair.take(Step(who, "settle", (batch, keep), lost))

    @step(2, who=draws.WHO, some=draws.SOME, lost=draws.LOST)
    def redrive(self, who: int, some: list[int], lost: bool) -> None:
        """Redrive some that have failed, and some others."""
        failed = [job for job in self.pair.model.jobs if job.state in REDRIVABLE]
        ids = ["none", *_choice(failed, some), *_choice(self.pair.model.jobs, some[2:])]
        self.pair.take(Step(who, "redrive", (ids,), lost))

    @step(1, who=draws.WHO, some=draws.SOME, lost=draws.LOST)
    def remove(self, who: int, some: list[int], lost: bool) -> None:
        """Remove some of what is there."""
        ids = ["none", *_choice(self.pair.model.jobs, some)]
        self.pair.take(Step(who, "remove", (ids,), lost))

    @step(1, who=draws.WHO, lost=draws.LOST)
    def destroy(self, who: int, lost: bool) -> None:
        """Destroy the queue, though not soon: what is not there can't be wrong. Remembered ids would be worth it."""
        model = self.pair.model
        if len(model.jobs) > MANY or sum(until > model.now for until in model.remembered.values()) > 1:
            self.pair.take(Step(who, "destroy", (), lost))

    # -- the world

    @step(2, who=draws.WHO, holder=draws.HOLDERS, outcomes=draws.OUTCOMES_OF_A_BATCH, keep=draws.KEEPS)
    def work(self, who: int, holder: str, outcomes: list[Outcome], keep: Keep) -> None:
        """Claim and settle, as workers do all day: the other steps then find jobs in every state."""
        grant = (len(outcomes), draws.SECOND, holder)
        tokens = self.pair.take(Step(who, "claim", (*self._granted(grant), NO_BOUND)))
        batch = [*zip(tokens, map(self.pair.spanned, outcomes), strict=False)]
        self.pair.take(Step(who, "settle", (batch, keep)))

    @step(1, who=draws.WHO, of=draws.HOLDERS, keep=draws.KEEPS)
    def give_up(self, who: int, of: str, keep: Keep) -> None:
        """Take over what a holder known dead has, and fail it, as monitors do with what was lost too often."""
        tokens = self.pair.take(Step(who, "reclaim", (*self._granted((4, draws.SECOND, "g")), of)))
        self.pair.take(Step(who, "settle", ([(token, Fail()) for token in tokens], keep)))

    @step(3, which=st.integers(0, 5), off=st.sampled_from([0, -1, 1, draws.SECOND]))
    def let_time_pass(self, which: int, off: int) -> None:
        """Let the clock come to where something is due, runs out or is forgotten, or to just before or after."""
        if self.pair.harness.clock:
            deadlines = self.pair.model.deadlines() or [self.pair.model.now]
            if (ahead := deadlines[which % len(deadlines)] + off - self.pair.model.now) > 0:
                self.pair.take(Step(0, "advance", (ahead,)))

    @step(1, who=draws.WHO)
    def close_a_client(self, who: int) -> None:
        """One is closed in good order, and another opens the store."""
        self.pair.take(Step(who, "close"))

    @step(1, who=draws.WHO, grant=draws.GRANTS)
    def die_before_the_answer(self, who: int, grant: draws.Grant) -> None:
        """A claim is carried out, its client never hears of it, and another opens the store."""
        self.pair.take(Step(who, "die", (*self._granted(grant), NO_BOUND)))

    def _granted(self, grant: draws.Grant) -> tuple[int, int, str, bytes]:
        """What claim and reclaim have in common."""
        limit, lease, holder = grant
        return limit, self.pair.span(lease), holder, new_call()


def _choice(jobs: Sequence[Job], some: Sequence[int]) -> list[str]:
    """The ids of the jobs of these numbers, counted round."""
    return [jobs[number % len(jobs)].push.id for number in some] if jobs else []
