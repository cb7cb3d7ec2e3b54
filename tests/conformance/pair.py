"""A store and its model, which are given the same calls and must agree."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import cycle
from typing import Any, Final

from msgspec.structs import replace

from jobcore.backend import FINISHED, Answer, Backend, Claim, Entry, Hold, Outcome, Push, Retry, State, Uncertain
from jobcore.conformance.client import Client
from jobcore.conformance.counterexample import LOST, Disagreement, Step, shown
from jobcore.conformance.faults import Loss, losing
from jobcore.conformance.harness import Harness
from jobcore.conformance.model import Job, Model

HOUR: Final = 3_600_000_000
_LAWS: Final = {
    "push": "Law5Idempotent",
    "extend": "Law4Fenced",
    "settle": "Law4Fenced",
    "redrive": "Law11PerItem",
    "remove": "Law11PerItem",
    "destroy": "Closing",
}
"""The law that is broken if a verb answers otherwise than the model."""

TIMES: Final = frozenset({"place", "pushed_at", "started_at", "lease_until", "lapsed_at", "finished_at"})


class Pair:
    """Two clients of a queue in the harness's store, and the queue's model.

    Without a clock in hand, every duration is an hour or none, the model counts moments instead of
    microseconds, and times are not compared.

    Attributes:
        began: what the clock in hand stood at, if there is one.
        tokens: all that were ever given, in their order.
        calls: the arguments of all claims and reclaims, with the name of the method that repeats them.
        history: all calls that were made, but for those that only look.
        wrong: how store and model disagreed, if they did.
    """

    def __init__(self, harness: Harness, queue: str) -> None:
        self.harness = harness
        self.queue = queue
        self.began = harness.clock.now() if harness.clock else None
        self._opened: list[Backend] = []
        self._clients = [self._open(0), self._open(1)]
        self.model = Model(self._clients[0].now(queue))
        self._paged = cycle(State)
        self.tokens: list[Hold] = []
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.history: list[Step] = []
        self.wrong: Disagreement | None = None

    # -- calls

    def both(self, who: int, loss: Loss, verb: str, *arguments: Any) -> None:
        """Make a call to store and model; if something of it is lost, then again."""
        self._pass_a_moment()
        modelled = getattr(self.model, verb)
        if self.lose(who, loss, verb, *arguments):
            modelled(*arguments)
        self._same(_LAWS[verb], self._ask(who, verb, arguments), modelled(*arguments))

    def claim(self, who: int, loss: Loss, *arguments: Any) -> Sequence[Claim]:
        """The same for a claim: the model says which jobs and in which order, the store tells the fences."""
        self._pass_a_moment()
        if self.lose(who, loss, "claim", *arguments):
            self.model.claim(*arguments)
        claimed = self._ask(who, "claim", arguments)
        running = {job.push.id for job in self.model.listed(State.RUNNING)}
        jobs, next_due = self.model.claim(*arguments)
        ids = [claim.id for claim in claimed.claims]
        again = {job.push.id for job in jobs}
        self._same("Law3OneHolder" if running & {*ids} - again else "Law6Ordered", ids, [job.push.id for job in jobs])
        if self.harness.clock:
            self._same("NextDue", [claimed.now, claimed.next_due], [self.model.now, next_due])
        return self._learn("claim", arguments, claimed.claims, jobs)

    def reclaim(self, who: int, loss: Loss, *arguments: Any) -> Sequence[Claim]:
        """The same for a reclaim: which of two leases that ended together goes first is left to the store."""
        limit, lease, holder, call, of = arguments
        self._pass_a_moment()
        self.lose(who, loss, "reclaim", *arguments)
        claims: Sequence[Claim] = self._ask(who, "reclaim", arguments)
        jobs = [job for claim in claims if (job := self.model.find(claim.id))]
        if held := self.model.held(call):
            self._same("Repeating", sorted(claim.id for claim in claims), sorted(job.push.id for job in held))
        else:
            lapsed = self.model.lapsed(of)
            wrong = [claim.id for claim in claims if claim.id not in {job.push.id for job in lapsed}]
            self._same("Law3OneHolder", wrong, [])
            assert len({claim.id for claim in claims}) == len(claims)
            self._same("Reclaiming", _ends(jobs), _ends(lapsed[:limit]))
            self.model.take_over(jobs, lease, holder, call)
        return self._learn("reclaim", arguments, claims, jobs)

    def lose(self, who: int, loss: Loss, verb: str, *arguments: Any) -> bool:
        """Make a call of which something is lost, if anything is to be. Returns whether it was carried out."""
        if loss is Loss.ANSWER:
            self.history.append(Step(who, verb, arguments, LOST))
        with suppress(Uncertain):
            losing(loss, self._clients[who].backend, verb, self.queue, *arguments)
        return loss is Loss.ANSWER

    def hold(self, which: int, kind: str) -> Hold:
        """A token that was given some time ago, among those that are `current` or among all, or a forgery of it."""
        given = [hold for hold in self.tokens if self.model.current(hold)] if kind == "current" else self.tokens
        hold = given[-1 - which % len(given)] if given else Hold("none", bytes(16), 1)
        match kind:
            case "fence":
                return replace(hold, fence=hold.fence + 1)
            case "call":
                return replace(hold, call=bytes(reversed(hold.call)))
            case "id":
                return replace(hold, id="b" if hold.id == "a" else "a")
        return hold

    # -- the world

    def replace_client(self, who: int) -> None:
        """Go on with a new client of the store, and leave the old one as it is."""
        self._clients[who] = self._open(who)
        self.history.append(Step(who, "open"))

    def close_client(self, who: int) -> None:
        """Close one in good order."""
        self._clients[who].backend.close()

    def reach(self, time: int) -> None:
        """Let the clock come to a time, if it lies ahead."""
        self.history.append(Step(0, "advance", (max(0, time - self.model.now),)))
        self._clients[0].reach(time)
        self.model.now = max(self.model.now, time)

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
        return replace(push, delay=0, run_at=self.model.now + run_at)

    def close(self) -> None:
        """Leave nothing behind."""
        self._clients[0].backend.destroy(self.queue)
        for backend in self._opened:
            backend.close()

    # -- agreement

    def agree(self) -> None:
        """The whole store, listed by one client and counted by the other, is the model's."""
        paged = next(self._paged)  # in small pages one state at a time: a page is a round trip
        for state in State:
            listed = self._clients[0].listing(state, self.queue, size=2 if state is paged else 1000)
            wanted = [self.model.entry(job) for job in self.model.listed(state)]
            if state is State.RUNNING:  # which of two that started together comes first is left open
                assert _starts(listed) == sorted(_starts(listed)), "running jobs are listed by start"
                listed, wanted = _by_id(listed), _by_id(wanted)
            self._look(0, "peek", state, 1000)
            self._same(_law_of(state, listed, wanted), self._comparable(listed), self._comparable(wanted))
            self.history.pop()
        self._look(1, "counts")
        self._same("Looking", self._clients[1].counts(self.queue), self.model.counts())
        self.history.pop()
        self._agree_on_each()

    def _agree_on_each(self) -> None:
        jobs = self.model.jobs
        none, *found = self._clients[1].backend.get(self.queue, ["none", *[job.push.id for job in jobs]])
        assert none is None
        wanted = [self.model.entry(job) for job in jobs]
        self._look(1, "get", [job.push.id for job in jobs])
        self._same("Looking", self._comparable([entry for entry in found if entry]), self._comparable(wanted))
        self.history.pop()

    def _same(self, law: str, got: object, wanted: object) -> None:
        if got != wanted:
            self.wrong = Disagreement(law, got, wanted)
            raise self.wrong

    def _look(self, who: int, verb: str, *arguments: Any) -> None:
        """Write down what is looked at; it belongs to the history only if something is seen that is wrong."""
        self.history.append(Step(who, verb, arguments))

    def _comparable(self, values: Sequence[Entry | Claim]) -> list[Entry | Claim]:
        """The values without what is no business of the laws, or can't be known."""
        values = [replace(value, place=0) if _finished(value) else value for value in values]
        return values if self.harness.clock else [_timeless(value) for value in values]

    # -- the parts of these

    def _learn(
        self, verb: str, arguments: tuple[Any, ...], claims: Sequence[Claim], jobs: list[Job]
    ) -> Sequence[Claim]:
        wanted = [self.model.learn(job, claim) for job, claim in zip(jobs, claims, strict=True)]
        self.tokens += [claim.hold for claim in claims]
        self._same("Claiming" if verb == "claim" else "Reclaiming", self._comparable(claims), self._comparable(wanted))
        self.calls.append((verb, arguments))
        return claims

    def _ask(self, who: int, verb: str, arguments: Sequence[Any]) -> Any:
        self.history.append(Step(who, verb, tuple(arguments)))
        for _ in range(1000):
            answer = getattr(self._clients[who].backend, verb)(self.queue, *arguments)
            if verb != "extend" or Answer.BUSY not in answer:
                self.history[-1].answer = shown(answer)
                return answer
        raise AssertionError("extend says BUSY though nobody else is at work")

    def _open(self, number: int) -> Client:
        backend = self.harness.second() if number else self.harness.make()
        self._opened.append(backend)
        return Client(backend, self.harness, f"client {number}")

    def _pass_a_moment(self) -> None:
        if not self.harness.clock:
            self.model.now += 1


def _law_of(state: State, listed: Sequence[Entry], wanted: Sequence[Entry]) -> str:
    """The law that is broken if a listing is not as wanted."""
    ids, right = [entry.id for entry in listed], [entry.id for entry in wanted]
    if {*ids} != {*right}:
        return "Law9Caps" if state in FINISHED - {State.BROKEN} else "Law1Kept"
    if ids != right:
        return "Listing"
    same = all(one.payload == other.payload for one, other in zip(listed, wanted, strict=True))
    return "Looking" if same else "Law8Bytes"


def _finished(value: Entry | Claim) -> bool:
    return isinstance(value, Entry) and value.state in FINISHED


def _timeless(value: Entry | Claim) -> Entry | Claim:
    return replace(value, **dict.fromkeys(TIMES & {*value.__struct_fields__}))


def _starts(entries: Sequence[Entry]) -> list[int]:
    return [entry.started_at or 0 for entry in entries]


def _ends(jobs: Sequence[Job]) -> list[int]:
    return [job.run.lease_until for job in jobs if job.run]


def _by_id(entries: Sequence[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: entry.id)
