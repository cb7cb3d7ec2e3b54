"""Random histories: the store and the model are given the same calls, and must agree after each."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from typing import Any, Final

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from msgspec.structs import replace

from jobcore.backend import (
    FINISHED,
    Answer,
    Backend,
    Claim,
    Entry,
    Hold,
    Keep,
    Outcome,
    Push,
    Retry,
    State,
    Uncertain,
)
from jobcore.conformance import draws
from jobcore.conformance.client import NO_BOUND, Client, new_call
from jobcore.conformance.faults import Loss, losing
from jobcore.conformance.harness import Harness
from jobcore.conformance.model import Job, Model

STEPS: Final = 40
HOUR: Final = 3600 * draws.SECOND

_serial: Final = count(1)


class Histories:
    """All laws at once, on random histories of two clients, with replies lost and clients that die."""

    def test_any_history_is_the_models(self, harness: Harness) -> None:
        run_state_machine_as_test(
            lambda: Machine(harness),  # type: ignore[arg-type]  # any maker of machines will do
            settings=settings(
                max_examples=harness.examples,
                stateful_step_count=STEPS,
                deadline=None,
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
            ),
        )


class Machine(RuleBasedStateMachine):
    """A queue of its own in the harness's store, and its model.

    Without a clock in hand, every duration is an hour or none, the model counts moments instead of
    microseconds, and times are not compared.
    """

    def __init__(self, harness: Harness) -> None:
        super().__init__()
        self.harness = harness
        self.queue = f"history-{next(_serial)}"
        self.opened: list[Backend] = []
        self.clients = [self._open(0), self._open(1)]
        self.model = Model(self.clients[0].now(self.queue))
        self.tokens: list[Hold] = []
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    # -- rules: the verbs

    @rule(who=draws.WHO, pushes=draws.PUSHES, run_at=draws.RUN_ATS, loss=draws.LOSSES)
    def push(self, who: int, pushes: list[Push], run_at: int | None, loss: Loss) -> None:
        """Push a batch."""
        made = [replace(push, delay=self._span(push.delay)) for push in pushes]
        if made and run_at is not None and self.harness.clock:
            made[0] = replace(made[0], delay=0, run_at=self.model.now + run_at)
        self._both(who, loss, "push", made)

    @rule(
        who=draws.WHO,
        limit=draws.LIMITS,
        lease=draws.LEASES,
        holder=draws.HOLDERS,
        max_bytes=draws.BYTES,
        loss=draws.LOSSES,
    )
    def claim(self, who: int, limit: int, lease: int, holder: str, max_bytes: int, loss: Loss) -> None:
        """Claim."""
        self._claim(who, loss, limit, self._span(lease), holder, new_call(), max_bytes)

    @rule(
        who=draws.WHO,
        limit=draws.LIMITS,
        lease=draws.LEASES,
        holder=draws.HOLDERS,
        of=st.none() | draws.HOLDERS,
        loss=draws.LOSSES,
    )
    def reclaim(self, who: int, limit: int, lease: int, holder: str, of: str | None, loss: Loss) -> None:
        """Reclaim."""
        self._reclaim(who, loss, limit, self._span(lease), holder, new_call(), of)

    @precondition(lambda self: self.calls)
    @rule(who=draws.WHO, which=st.integers(0, 5), limit=draws.LIMITS)
    def repeat_an_old_call(self, who: int, which: int, limit: int) -> None:
        """Claim or reclaim with a call that was used before; if it holds nothing by now, it is a new one."""
        verb, arguments = self.calls[-1 - which % len(self.calls)]
        getattr(self, verb)(who, Loss.NOTHING, limit, *arguments[1:])

    @rule(who=draws.WHO, tokens=st.lists(draws.TOKENS, max_size=4), lease=draws.LEASES, loss=draws.LOSSES)
    def extend(self, who: int, tokens: list[draws.Token], lease: int, loss: Loss) -> None:
        """Extend leases, some of them others'."""
        self._both(who, loss, "extend", [self._hold(token) for token in tokens], self._span(lease))

    @rule(who=draws.WHO, settlements=draws.SETTLEMENTS, keep=draws.KEEPS, loss=draws.LOSSES)
    def settle(self, who: int, settlements: list[tuple[draws.Token, Outcome]], keep: Keep, loss: Loss) -> None:
        """Settle a batch, some of it by stale and forged tokens."""
        made = [(self._hold(token), self._spanned(outcome)) for token, outcome in settlements]
        self._both(who, loss, "settle", made, keep)

    @rule(who=draws.WHO, ids=draws.SOME_IDS, loss=draws.LOSSES)
    def redrive(self, who: int, ids: list[str], loss: Loss) -> None:
        """Redrive."""
        self._both(who, loss, "redrive", ids)

    @rule(who=draws.WHO, ids=draws.SOME_IDS, loss=draws.LOSSES)
    def remove(self, who: int, ids: list[str], loss: Loss) -> None:
        """Remove."""
        self._both(who, loss, "remove", ids)

    @rule(who=draws.WHO, sure=st.integers(0, 4), loss=draws.LOSSES)
    def destroy(self, who: int, sure: int, loss: Loss) -> None:
        """Destroy the queue, though seldom: what is not there can't be wrong."""
        if not sure:
            self._both(who, loss, "destroy")

    # -- rules: the world

    @precondition(lambda self: self.harness.clock)
    @rule(which=st.integers(0, 5), off=st.sampled_from([-1, 0, 0, 1]))
    def come_to_a_deadline(self, which: int, off: int) -> None:
        """Let the clock come to where something is due, runs out or is forgotten, or to just before or after."""
        if deadlines := self.model.deadlines():
            self._reach(deadlines[which % len(deadlines)] + off)

    @precondition(lambda self: self.harness.clock)
    @rule(passed=draws.LEASES)
    def let_time_pass(self, passed: int) -> None:
        """Let some time pass."""
        self._reach(self.model.now + passed)

    @rule(who=draws.WHO, closed=st.booleans())
    def replace_a_client(self, who: int, closed: bool) -> None:
        """One dies, or is closed, and a new one opens the store."""
        if closed:
            self.clients[who].backend.close()
        self.clients[who] = self._open(who)

    @rule(limit=draws.LIMITS, lease=draws.LEASES, holder=draws.HOLDERS)
    def die_before_the_answer(self, limit: int, lease: int, holder: str) -> None:
        """A claim is carried out, and its client never hears of it."""
        arguments = (limit, self._span(lease), holder, new_call(), NO_BOUND)
        self._lose(0, Loss.ANSWER, "claim", arguments)
        self.model.claim(*arguments)
        self.replace_a_client(0, closed=False)

    # -- what holds after each

    @invariant()
    def all_agrees(self) -> None:
        """The whole store, listed by one client in small pages and counted by the other, is the model's."""
        for state in State:
            listed = self.clients[0].listing(state, self.queue, size=2)
            wanted = [self.model.entry(job) for job in self.model.listed(state)]
            if state is State.RUNNING:  # which of two that started together comes first is left open
                assert _starts(listed) == sorted(_starts(listed)), "running jobs are listed by start"
                listed, wanted = _by_id(listed), _by_id(wanted)
            assert self._comparable(listed) == self._comparable(wanted), state
        assert self.clients[1].counts(self.queue) == self.model.counts()

    @invariant()
    def get_agrees(self) -> None:
        """And so is each job that is asked for."""
        jobs = [*self.model.jobs]
        found = self.clients[1].backend.get(self.queue, ["none", *[job.push.id for job in jobs]])
        assert found[0] is None
        entries = [entry for entry in found if entry]
        assert self._comparable(entries) == self._comparable([self.model.entry(job) for job in jobs])

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.clients[0].backend.destroy(self.queue)
        for backend in self.opened:
            backend.close()

    # -- calls

    def _both(self, who: int, loss: Loss, verb: str, *arguments: Any) -> None:
        """Make a call to store and model; if it is lost on its way, then again."""
        self._pass_a_moment()
        modelled = getattr(self.model, verb)
        if self._lose(who, loss, verb, arguments):
            modelled(*arguments)
        assert self._ask(who, verb, arguments) == modelled(*arguments)

    def _claim(self, who: int, loss: Loss, *arguments: Any) -> None:
        self._pass_a_moment()
        if self._lose(who, loss, "claim", arguments):
            self.model.claim(*arguments)
        claimed = self._ask(who, "claim", arguments)
        jobs, next_due = self.model.claim(*arguments)
        assert [claim.id for claim in claimed.claims] == [job.push.id for job in jobs]
        self._learn(claimed.claims, jobs)
        if self.harness.clock:
            assert (claimed.now, claimed.next_due) == (self.model.now, next_due)
        self.calls.append(("_claim", arguments))

    def _reclaim(self, who: int, loss: Loss, limit: int, lease: int, holder: str, call: bytes, of: str | None) -> None:
        self._pass_a_moment()
        arguments = (limit, lease, holder, call, of)
        self._lose(who, loss, "reclaim", arguments)
        claims = self._ask(who, "reclaim", arguments)
        jobs = [job for claim in claims if (job := self.model.find(claim.id))]
        if held := self.model.held(call):
            assert sorted(claim.id for claim in claims) == sorted(job.push.id for job in held)
        else:
            lapsed = self.model.lapsed(of)
            assert len({claim.id for claim in claims}) == len(claims)
            assert _ends(jobs) == _ends(lapsed[:limit])
            assert all(job in lapsed for job in jobs)
            self.model.take_over(jobs, lease, holder, call)
        self._learn(claims, jobs)
        self.calls.append(("_reclaim", arguments))

    def _ask(self, who: int, verb: str, arguments: Sequence[Any]) -> Any:
        for _ in range(1000):
            answer = getattr(self.clients[who].backend, verb)(self.queue, *arguments)
            if verb != "extend" or Answer.BUSY not in answer:
                return answer
        raise AssertionError("extend says BUSY though nobody else is at work")

    def _lose(self, who: int, loss: Loss, verb: str, arguments: Sequence[Any]) -> bool:
        """Make a call that is lost, if it is to be. Returns whether it was carried out."""
        with suppress(Uncertain):
            losing(loss, self.clients[who].backend, verb, self.queue, *arguments)
        return loss is Loss.ANSWER

    def _learn(self, claims: Sequence[Claim], jobs: Sequence[Job]) -> None:
        wanted = [self.model.learn(job, claim) for job, claim in zip(jobs, claims, strict=True)]
        assert self._comparable(claims) == self._comparable(wanted)
        self.tokens += [claim.hold for claim in claims]

    def _hold(self, token: draws.Token) -> Hold:
        """A token that was given some time ago, or a forgery of it."""
        which, kind = token
        given = [hold for hold in self.tokens if self.model.current(hold)] if kind == "current" else self.tokens
        hold = given[-1 - which % len(given)] if given else Hold("a", new_call(), 1)
        match kind:
            case "fence":
                return replace(hold, fence=hold.fence + 1)
            case "call":
                return replace(hold, call=new_call())
            case "id":
                return replace(hold, id="b" if hold.id == "a" else "a")
        return hold

    # -- clients and time

    def _open(self, number: int) -> Client:
        backend = self.harness.second() if number else self.harness.make()
        self.opened.append(backend)
        return Client(backend, self.harness, f"client {number}")

    def _reach(self, time: int) -> None:
        self.clients[0].reach(time)
        self.model.now = max(self.model.now, time)

    def _pass_a_moment(self) -> None:
        if not self.harness.clock:
            self.model.now += 1

    def _span(self, duration: int) -> int:
        return duration if self.harness.clock or duration <= 0 else HOUR

    def _spanned(self, outcome: Outcome) -> Outcome:
        return replace(outcome, delay=self._span(outcome.delay)) if isinstance(outcome, Retry) else outcome

    def _comparable(self, values: Sequence[Entry | Claim]) -> list[Entry | Claim]:
        """The values without what is no business of the laws, or can't be known."""
        entries = [replace(value, place=0) if _finished(value) else value for value in values]
        return entries if self.harness.clock else [_timeless(value) for value in entries]


def _finished(value: Entry | Claim) -> bool:
    return isinstance(value, Entry) and value.state in FINISHED


def _timeless(value: Entry | Claim) -> Entry | Claim:
    times = {"place", "pushed_at", "started_at", "lease_until", "lapsed_at", "finished_at"}
    return replace(value, **{name: None for name in times & {*value.__struct_fields__} if getattr(value, name)})


def _starts(entries: Sequence[Entry]) -> list[int]:
    return [entry.started_at or 0 for entry in entries]


def _ends(jobs: Sequence[Job]) -> list[int]:
    return [job.run.lease_until for job in jobs if job.run]


def _by_id(entries: Sequence[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: entry.id)
