"""A store and its model, which take the same steps and must agree."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import Any, Final

from msgspec.structs import replace

from jobcore.backend import Answer, Backend, Claim, Entry, Hold, Outcome, Push, Retry, State, Unavailable, Uncertain
from jobcore.conformance.agreement import LAWS, agree_on, agree_on_all, ids_of, law_of
from jobcore.conformance.client import Client
from jobcore.conformance.counterexample import Disagreement
from jobcore.conformance.harness import Harness
from jobcore.conformance.model import Job, Model
from jobcore.conformance.steps import Answered, Step, Token, meant

HOUR: Final = 3_600_000_000
WHOLE: Final = 1000
"""Entries of a page that holds all there are."""


class Pair:
    """Two clients of a queue in the harness's store, and the queue's model.

    Without a clock in hand, every duration is an hour or none, the model counts moments instead of
    microseconds, and times are not compared.

    Attributes:
        began: what the store's clock stood at.
        tokens: all that were ever given, in their order.
        history: all steps that were taken, but for those that only looked, and saw nothing wrong.
        wrong: how store and model disagreed, if they did; the last step of the history saw it.
    """

    def __init__(self, harness: Harness, queue: str) -> None:
        self.harness = harness
        self.queue = queue
        self._opened: list[Backend] = []
        self._clients = [self._open(0), self._open(1)]
        self.began = self._clients[0].now(queue)
        self._clock = self.began if harness.clock else None
        self.model = Model(self.began)
        self._paged = cycle(State)
        self.tokens: list[Hold] = []
        self.history: list[Answered] = []
        self.wrong: Disagreement | None = None

    def take(self, step: Step) -> list[Token]:
        """Have store and model take a step; returns the tokens that it gave.

        Raises:
            Disagreement: they disagree.
        """
        if not self.harness.clock:
            self.model.now += 1
        self.history.append(Answered(step))
        try:
            return self._take(step)
        except Disagreement as wrong:
            self.wrong = wrong
            raise

    def _take(self, step: Step) -> list[Token]:
        match step.verb:
            case "open" | "close":
                self._replace_client(step)
            case "die":
                self._die(step)
            case "advance":
                self._reach(self.model.now + step.arguments[0])
            case "claim" | "reclaim":
                return self._claim(step) if step.verb == "claim" else self._reclaim(step)
            case "peek" | "pages" | "counts" | "get":
                getattr(self, f"_{step.verb}")(step)
                self.history.pop()
            case _:
                self._both(step)
        return []

    def agree(self) -> None:
        """The whole store, listed by one client and counted by the other, is the model's."""
        paged = next(self._paged)  # in small pages one state at a time: a page is a round trip
        for state in State:
            self.take(Step(0, "pages", (state, 2)) if state is paged else Step(0, "peek", (state, WHOLE)))
        self.take(Step(1, "counts"))
        self.take(Step(1, "get"))

    def close(self) -> None:
        """Leave nothing behind."""
        self._clients[0].backend.destroy(self.queue)
        for backend in self._opened:
            backend.close()

    # -- what steps are made of

    def token(self, which: int, kind: str) -> Token:
        """One that was given some time ago, among those that are `current` or among all, or a forgery of it."""
        given = [hold for hold in self.tokens if self.model.current(hold)] if kind == "current" else self.tokens
        hold = given[-1 - which % len(given)] if given else Hold("none", bytes(16), 1)
        return Token(hold.id, hold.call, kind if kind in {"fence", "call", "id"} else "")

    def span(self, duration: int) -> int:
        """A duration that can be told from another with the clock that there is."""
        return duration if self.harness.clock or not duration else HOUR

    def spanned(self, outcome: Outcome) -> Outcome:
        """An outcome whose delay is such a duration."""
        return replace(outcome, delay=self.span(outcome.delay)) if isinstance(outcome, Retry) else outcome

    def timed(self, push: Push, run_at: int | None) -> Push:
        """A push of such a delay, or, with a clock in hand, of a `run_at` that is given from now."""
        if run_at is None or not self.harness.clock:
            return replace(push, delay=self.span(push.delay))
        return replace(push, delay=0, run_at=self.model.now - self.began + run_at)

    # -- steps that change something

    def _both(self, step: Step) -> None:
        arguments, modelled = meant(step.arguments, self.tokens, self.began), getattr(self.model, step.verb)
        if step.lost:
            modelled(*arguments)
        agree_on(LAWS[step.verb], self._ask(step, arguments), modelled(*arguments))

    def _claim(self, step: Step) -> list[Token]:
        """The model says which jobs and in which order, the store tells the fences."""
        if step.lost:
            self.model.claim(*step.arguments)
        claimed = self._ask(step, step.arguments)
        running = {job.push.id for job in self.model.listed(State.RUNNING)}
        other = "Repeating" if self.model.held(step.arguments[3]) else "Law6Ordered"
        jobs, next_due = self.model.claim(*step.arguments)
        ids, wanted = ids_of(claimed.claims), [job.push.id for job in jobs]
        law = "Law3OneHolder" if running & {*ids} - {*wanted} else other
        agree_on(law, ids, wanted, "[one.id for one in answer.claims]")
        if self.harness.clock:
            seen = [claimed.now - self.began, claimed.next_due and claimed.next_due - self.began]
            due = [self.model.now - self.began, next_due and next_due - self.began]
            agree_on("NextDue", seen, due, "[at and at - began for at in (answer.now, answer.next_due)]")
        return self._learn("Claiming", claimed.claims, jobs, "answer.claims")

    def _reclaim(self, step: Step) -> list[Token]:
        """Which of two leases that ended together goes first is left to the store."""
        limit, lease, holder, call, of = step.arguments
        claims: Sequence[Claim] = self._ask(step, step.arguments)
        ids = ids_of(claims)
        if held := self.model.held(call):
            agree_on("Repeating", sorted(ids), sorted(job.push.id for job in held), "sorted(one.id for one in answer)")
            jobs = self._jobs(ids)
        else:
            lapsed = {job.push.id: job.run.lease_until - self.began for job in self.model.lapsed(of) if job.run}
            wrong = f"[one.id for one in answer if one.id not in {[*lapsed]}]"
            agree_on("Law3OneHolder", [id for id in ids if id not in lapsed], [], wrong)
            agree_on("Reclaiming", ids, [*dict.fromkeys(ids)], "[one.id for one in answer]")
            ends = [lapsed[id] for id in ids]
            agree_on("Reclaiming", ends, [*lapsed.values()][:limit], f"[{lapsed}[one.id] for one in answer]")
            jobs = self._jobs(ids)
            self.model.take_over(jobs, lease, holder, call)
        return self._learn("Reclaiming", claims, jobs, "answer")

    def _die(self, step: Step) -> None:
        self._ask(step, step.arguments)
        self.model.claim(*step.arguments)
        self._clients[step.who] = self._open(step.who)

    def _replace_client(self, step: Step) -> None:
        if step.verb == "close":
            self._clients[step.who].backend.close()
        self._clients[step.who] = self._open(step.who)

    def _reach(self, time: int) -> None:
        self._clients[0].reach(time)
        self.model.now = max(self.model.now, time)

    # -- steps that look

    def _peek(self, step: Step) -> None:
        state, limit = step.arguments
        self._listed(state, self._ask(step, (state, limit, None)).entries, "answer.entries")

    def _pages(self, step: Step) -> None:
        state, size = step.arguments
        client = self._clients[step.who]
        self._listed(state, self._answer(step, lambda: client.listing(state, self.queue, size)), "answer")

    def _listed(self, state: State, listed: Sequence[Entry], seen: str) -> None:
        wanted = [self.model.entry(job) for job in self.model.listed(state)]
        if state is State.RUNNING:  # which of two that started together comes first is left open
            in_order = sorted(listed, key=lambda one: one.started_at or 0)
            agree_on("Listing", ids_of(listed), ids_of(in_order), f"[one.id for one in {seen}]")
            listed, wanted, seen = _by_id(listed), _by_id(wanted), f"sorted({seen}, key=lambda one: one.id)"
        agree_on_all(law_of(state, listed, wanted), listed, wanted, seen, self._clock)

    def _counts(self, step: Step) -> None:
        agree_on("Looking", self._ask(step, ()), self.model.counts())

    def _get(self, step: Step) -> None:
        jobs = self.model.jobs
        ids = ["none", *[job.push.id for job in jobs]]
        none, *found = self._ask(replace(step, arguments=(ids,)), (ids,))
        agree_on("Looking", none, None, "answer[0]")
        wanted = [self.model.entry(job) for job in jobs]
        agree_on_all(
            "Looking", [entry for entry in found if entry], wanted, "[one for one in answer if one]", self._clock
        )

    # -- the parts of these

    def _learn(self, law: str, claims: Sequence[Claim], jobs: list[Job], seen: str) -> list[Token]:
        wanted = [self.model.learn(job, claim) for job, claim in zip(jobs, claims, strict=True)]
        self.tokens += [claim.hold for claim in claims]
        agree_on_all(law, claims, wanted, seen, self._clock)
        return [Token(claim.id, claim.call) for claim in claims]

    def _jobs(self, ids: Sequence[str]) -> list[Job]:
        return [job for id in ids if (job := self.model.find(id))]

    def _ask(self, step: Step, arguments: Sequence[Any]) -> Any:
        """The store's answer, or the second one if the first is lost."""
        verb = "claim" if step.verb == "die" else step.verb
        backend = self._clients[step.who].backend
        if step.lost:
            self._answer(step, lambda: getattr(backend, verb)(self.queue, *arguments))
        for _ in range(1000):
            answer = self._answer(step, lambda: getattr(backend, verb)(self.queue, *arguments))
            if verb != "extend" or Answer.BUSY not in answer:
                return answer
        raise AssertionError("extend says BUSY though nobody else is at work")

    def _answer(self, step: Step, call: Any) -> Any:
        """What a call gives; that a driver breaks down is no answer, but that the store is away says nothing of it."""
        try:
            answer = call()
        except (Unavailable, Uncertain):
            raise
        except Exception as error:
            self.history[-1] = Answered(step, error)
            raise Disagreement(LAWS[step.verb], f"{type(error).__name__}: {error}", "an answer", "") from error
        self.history[-1] = Answered(step, answer)
        return answer

    def _open(self, number: int) -> Client:
        backend = self.harness.second() if number else self.harness.make()
        self._opened.append(backend)
        return Client(backend, self.harness, f"client {number}")


def _by_id(entries: Sequence[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: entry.id)
