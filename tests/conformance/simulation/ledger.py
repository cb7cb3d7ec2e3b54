"""The ledger: what was done in the store and in jobs, seen beside the loops, and what must hold of it at all times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeAlias

from jobcore.backend import FINISHED, Answer, Backend, Claim, Entry, Fail, Hold, Outcome, Retry, Return, State
from jobcore.conformance.simulation.report import Row, Wrong
from jobcore.conformance.simulation.script import Plan
from jobcore.conformance.simulation.stage import Life, Stage
from jobcore.events import Event, Kind
from jobcore.job import JobContext
from jobcore.shift import LAST_SECONDS

GRACE_SECONDS: Final = 2.0
"""For which a process that is told to stop waits for what runs."""

_WAITING: Final = (State.READY, State.SCHEDULED)
_ALONE_AFTER: Final = 2

_DONE: Final = (
    Kind.SUCCEEDED,
    Kind.RETRIED,
    Kind.FAILED,
    Kind.TIMED_OUT,
    Kind.BROKEN,
    Kind.RETURNED,
    Kind.RECOVERED,
)
_TELLING: Final = {**dict.fromkeys(_DONE, True), Kind.REFUSED: False}
"""Which events tell of a settlement, and whether it was done."""

Token: TypeAlias = tuple[str, int]
"""An id and a fence."""


class Taken:
    """That a process took a job, by a claim or (`over`) by a reclaim."""

    def __init__(self, life: Life, at: float, *, over: bool, late: bool) -> None:
        self.life = life
        self.at = at
        self.over = over
        self.late = late  # by a call that its process does not know to have been carried out


class Run:
    """One run of a job."""

    def __init__(self, attempt: int) -> None:
        self.attempt = attempt
        self.word: str | None = None  # by which it ended


class Ledger:
    """What happened, and the first thing that must not.

    Args:
        stage: has the time.
        observer: a client of the store that the loops don't use.
        lease: seconds.
        max_lost: how often a job may be lost.
        strict: whether time stands still between calls, so that whoever loses a lease must have been hindered.

    Attributes:
        rows: the trace.
        wrong: what was found wrong first.
        plans: what was pushed, or may have been, by its id.
        stored: the ids of what the store has acknowledged.
        hindrances: which process stood still or was cut off, from when, until when.
    """

    def __init__(self, stage: Stage, observer: Backend, *, lease: float, max_lost: int, strict: bool) -> None:
        self.rows: list[Row] = []
        self.wrong: Wrong | None = None
        self.plans: dict[str, Plan] = {}
        self.stored: set[str] = set()
        self.hindrances: list[tuple[Life, float, float]] = []
        self._stage = stage
        self._observer = observer
        self._lease = lease
        self._max_lost = max_lost
        self._strict = strict
        self._taken: dict[Token, Taken] = {}
        self._last: dict[str, Token] = {}  # by which a job was taken last
        self._runs: dict[Token, Run] = {}
        self._settled: set[Token] = set()
        self._open: set[str] = set()  # what has not come to its end
        self._retried: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()
        self._begun: Counter[str] = Counter()
        self._tellable: Counter[tuple[Life, str, bool]] = Counter()

    def note(self, life: Life, what: str, *ids: str) -> None:
        """Write a line of the trace."""
        self.rows.append(Row(self._stage.steps, self._stage.now, str(life), what, ids))

    def complain(self, id: str, sentence: str, law: str = "Loops") -> None:
        """Something is wrong, by a law, or by what all laws together come to; what is wrong first counts."""
        self.wrong = self.wrong or Wrong(law, id, sentence)

    # -- calls that were carried out

    def carried(self, life: Life, verb: str, arguments: tuple[Any, ...], answer: Any, *, late: bool) -> None:
        """A call of a process was carried out by the store; `late`: after the process had given it up."""
        match verb:
            case "claim":
                self._take(life, answer.claims, over=False, late=late)
            case "reclaim":
                self._take(life, answer, over=True, late=late)
            case "extend":
                pairs = zip(arguments[1], answer, strict=True)
                for hold, said in sorted(pairs, key=lambda pair: pair[0].id):  # a keeper has no order among them
                    self.note(life, f"extends its lease: {said.name}", hold.id)
            case "settle":
                for (hold, outcome), said in zip(arguments[1], answer, strict=True):
                    self._settle(life, hold, outcome, said)
            case "push":
                self.note(life, "pushes it", *(push.id for push in arguments[1]))
            case _:
                return
        self._check_store()

    def _take(self, life: Life, claims: Sequence[Claim], *, over: bool, late: bool) -> None:
        for claim in claims:
            token = (claim.id, claim.fence)
            if token not in self._taken:
                how = ("takes it over" if over else "claims it") + ", though late" * late
                self.note(life, f"{how}: run {claim.attempt}, lost {claim.lost}", claim.id)
                if over:
                    self._check_loss(claim.id)
                    self._lost[claim.id] += 1
                self._taken[token] = Taken(life, self._stage.now, over=over, late=late)
                self._last[claim.id] = token
            self._taken[token].late &= late

    def _settle(self, life: Life, hold: Hold, outcome: Outcome, said: Answer) -> None:
        token = (hold.id, hold.fence)
        self.note(life, f"settles it by {type(outcome).__name__}: {said.name}", hold.id)
        if said is Answer.DONE:
            self._tellable[life, hold.id, True] += 1
            self._check_settled(token, outcome)
            self._settled.add(token)
            self._retried[hold.id] += isinstance(outcome, Retry)
        elif token not in self._settled:
            self._tellable[life, hold.id, False] += 1

    # -- runs

    def begin(self, life: Life, context: JobContext[Any]) -> Run:
        """A job is run: by who holds it, once under each token, and alone if it was lost before."""
        id, token = context.id, (context.id, context.fence)
        self.note(life, f"runs it: run {context.attempt}, lost {context.lost}", id)
        entry = self._entry(id)
        if self._strict and (entry is None or entry.state is not State.RUNNING or entry.holder != str(life)):
            self.complain(id, "it is run by a process that does not hold it", "Law3OneHolder")
        if token in self._runs:
            self.complain(id, "it is run twice under one token", "Law3OneHolder")
        if context.lost >= _ALONE_AFTER:
            for other, _ in self._held_by(life):
                if other != id:
                    self.complain(other, f"it is held while {id}, which was lost before, runs")
        self._begun[id] += 1
        self._runs[token] = Run(context.attempt)
        return self._runs[token]

    def end(self, life: Life, id: str, run: Run, word: str) -> None:
        """A run has ended by this word of its script."""
        run.word = word
        self.note(life, f"its run ends by '{word}'", id)

    def leave(self, life: Life) -> None:
        """A process stops as it was told to: it has given back or settled all but what runs on past its grace."""
        self.note(life, "leaves")
        hindered = self._hindered(life, self._stage.now - GRACE_SECONDS - LAST_SECONDS)
        for id, token in self._held_by(life):
            runs = token in self._runs and self._runs[token].word is None
            if not (runs or hindered or self._taken[token].over):
                self.complain(id, f"{life} has left and holds it still")

    def hear(self, life: Life, events: Sequence[Event]) -> None:
        """What is told of settlements has happened."""
        for event in events:
            if event.kind in _TELLING and event.id:
                told = (life, event.id, _TELLING[event.kind])
                self._tellable[told] -= 1
                if self._tellable[told] < 0:
                    self.complain(event.id, f"{life} tells that it is '{event.kind}', and that has not happened")

    # -- the end

    @property
    def drained(self) -> bool:
        """Whether all that is in the store has come to its end."""
        return not self._open

    def complain_of_no_end(self) -> None:
        """Nothing more happens, or too much for too long."""
        sentence = "nothing hinders anybody any more, and this comes to no end"
        self.complain(min(self._open, default="(none)"), sentence, "Law2AtLeastOnce")

    def check_end(self) -> None:
        """Each job has ended as its script says, and was run as often as its attempts and losses account for."""
        for id, plan in self.plans.items():
            entry = self._entry(id)
            if entry is not None:
                for sentence in self._faults(entry, plan):
                    self.complain(id, sentence)

    def _faults(self, entry: Entry, plan: Plan) -> Iterator[str]:
        if entry.state is not plan.end:
            yield f"it is {entry.state} ({entry.reason}), and its script ends as {plan.end}"
        if plan.words[-1] == "kill" and not (entry.reason or "").startswith("lost"):
            yield f"it failed by {entry.reason!r}, not as lost"
        if entry.attempt != len(plan.words):
            yield f"it ended in run {entry.attempt}, not {len(plan.words)}"
        if self._begun[entry.id] > entry.attempt + entry.lost:
            yield f"it began {self._begun[entry.id]} times, in {entry.attempt} runs and {entry.lost} losses"

    # -- what must hold

    def _check_store(self) -> None:
        """All that was acknowledged is there, its runs and losses rightly counted, held by who took it last."""
        self._open = set()
        for queue in {plan.queue for plan in self.plans.values()}:
            ids = [plan.id for plan in self.plans.values() if plan.queue == queue]
            for id, entry in zip(ids, self._observer.get(queue, ids), strict=True):
                if entry is not None:
                    self._check_entry(entry)
                elif id in self.stored:
                    self.complain(id, "it was acknowledged and is gone", "Law1Kept")

    def _check_entry(self, entry: Entry) -> None:
        id, attempt = entry.id, self._retried[entry.id] + (entry.state not in _WAITING)
        if entry.attempt != attempt:
            self.complain(id, f"{entry.attempt} runs are counted, not {attempt}", "Attempts")
        if entry.lost != self._lost[id]:
            self.complain(id, f"{entry.lost} losses are counted, not {self._lost[id]}", "Attempts")
        if entry.state is State.RUNNING and entry.holder != str(self._taken[self._last[id]].life):
            self.complain(id, f"{entry.holder} holds it, which did not take it last", "Law3OneHolder")
        if entry.state not in FINISHED:
            self._open.add(id)

    def _check_settled(self, token: Token, outcome: Outcome) -> None:
        """A job moves by what its run came to, once; what was not run goes back."""
        id, run = token[0], self._runs.get(token)
        if token in self._settled:
            self.complain(id, "it was settled twice under one token", "Law4Fenced")
        if isinstance(outcome, Return):
            if run is not None:
                self.complain(id, "it was given back although its run had begun")
        elif run is None:
            self._check_unrun(id, outcome)
        elif run.word is None:
            self.complain(id, "it was settled while it ran")
        else:
            self._check_moved(id, run.attempt, run.word)

    def _check_unrun(self, id: str, outcome: Outcome) -> None:
        state = outcome.state if isinstance(outcome, Fail) else None
        lost = state is State.FAILED and self._lost[id] == self._max_lost
        broken = state is State.BROKEN and self.plans[id].end is State.BROKEN
        if not lost and not broken:
            self.complain(id, f"it was settled by {outcome}, and was not run")

    def _check_moved(self, id: str, attempt: int, word: str) -> None:
        entry, wanted = self._entry(id), self.plans[id].after(attempt)
        state = None if entry is None else State.READY if entry.state is State.SCHEDULED else entry.state
        if state is not wanted:
            self.complain(id, f"its run {attempt} ended by '{word}', and it is {state}, not {wanted}")

    def _check_loss(self, id: str) -> None:
        """A lease ends only if its holder is dead, was hindered for long, or does not know of it."""
        taken = self._taken[self._last[id]]
        excused = taken.life.dead or taken.late or self._hindered(taken.life, taken.at) >= self._lease / 4
        if self._strict and not excused:
            sentence = f"its lease ended, though {taken.life}, which held it, lives and was not hindered"
            self.complain(id, sentence, "Law3OneHolder")

    def _hindered(self, life: Life, since: float) -> float:
        """For how many seconds, since then, a process stood still or could not reach the store."""
        now = self._stage.now
        spans = ((begun, until) for whom, begun, until in self.hindrances if whom is life)
        return sum(max(0.0, min(until, now) - max(begun, since)) for begun, until in spans)

    def _entry(self, id: str) -> Entry | None:
        return self._observer.get(self.plans[id].queue, [id])[0]

    def _held_by(self, life: Life) -> list[tuple[str, Token]]:
        """What a process has taken and not settled, as far as it knows."""
        return [
            (id, token)
            for id, token in self._last.items()
            if (taken := self._taken[token]).life is life and not taken.late and token not in self._settled
        ]
