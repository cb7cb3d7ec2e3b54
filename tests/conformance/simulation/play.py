"""One simulation: processes, jobs and troubles, all drawn from a seed; then there is peace, and all must drain."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from math import inf
from typing import Any, Final

from jobcore.backend import Backend, BackendError, Push
from jobcore.conformance.harness import Harness
from jobcore.conformance.shortening import Tries, shortened
from jobcore.conformance.simulation.ledger import Ledger
from jobcore.conformance.simulation.network import VERBS, Client, Trouble
from jobcore.conformance.simulation.process import Process, recoveries_of
from jobcore.conformance.simulation.report import Wrong, told
from jobcore.conformance.simulation.script import Plan, declare, plans
from jobcore.conformance.simulation.stage import Died, Life, Stage
from jobcore.errors import EnqueueUncertain
from jobcore.job import Failure, JobContext, Retry, Success
from jobcore.queue import Queue
from jobcore.recovery import Recovery

MOST_STEPS: Final = 30_000
"""Within so many steps all must have drained once there is peace."""

TRIES: Final = 24
"""How often a play with less in it is tried in the place of one in which something is wrong."""

LEASE: Final = 3.0
QUEUES: Final = ("q", "r")


class Play:
    """A simulation, made ready.

    Args:
        seed: what it is drawn from.
        harness: the store, on which the queues q and r are empty.
        without: those of its parts that are left out.

    Attributes:
        parts: the names of all jobs and of all that happens to processes.
        without: those that are left out.
    """

    def __init__(self, seed: int, harness: Harness, without: Collection[str] = ()) -> None:
        self.seed, self.harness = seed, harness
        self.without = without
        self.stage = Stage(seed, harness)
        self._draw, self._unit, self._lease = self.stage.random, harness.unit, LEASE * harness.unit
        self._observer = harness.second()
        self._backends: list[Backend] = [self._observer]
        drawn = plans(self._draw, [*QUEUES[: self._draw.randint(1, 2)]], self._unit)
        self._strikes = [f"strike-{number}" for number in range(1, 1 + self._draw.choice((0, 2, 4, 6)))]
        self._plans = [plan for plan in drawn if plan.id not in without]
        self.parts = [plan.id for plan in drawn] + self._strikes
        killers = sum(plan.words[-1] == "kill" for plan in drawn)
        spare = 1 if harness.clock else 4  # in real time a lease may end because this machine is busy
        self._max_lost = len(self._strikes) + 2 * killers + spare
        self.ledger = Ledger(
            self.stage, self._observer, lease=self._lease, max_lost=self._max_lost, strict=harness.clock is not None
        )
        self._wanted = self._draw.randint(1, 3)
        self._troubles = self._some_troubles()
        self._processes: list[Process] = []
        self._clients: dict[Life, Client] = {}
        self._busy = 1  # fate, and each producer as it begins
        self._over = False

    @property
    def wrong(self) -> Wrong | None:
        """What was found wrong, when it was played."""
        return self.ledger.wrong

    def run(self) -> bool:
        """Play it to its end, or until something is wrong; returns whether nothing is."""
        try:
            with self.stage.clocks():
                if self._plans:
                    self._play()
        finally:
            self.stage.close()
            for queue in QUEUES:
                self._observer.destroy(queue)
            for backend in self._backends:
                backend.close()
        return self.wrong is None

    def told(self) -> str:
        """What was found wrong, and what came before."""
        assert self.wrong
        return told(self.wrong, self.ledger.rows, self.harness.url, self.seed, sorted(self.without))

    def _play(self) -> None:
        self._queues = {name: self._queue(name) for name in sorted({plan.queue for plan in self._plans})}
        parent = Life("parent")
        backend = self._client(parent)
        self.stage.start(parent, lambda: self._look_after(parent, backend))
        self.stage.start(Life("fate"), self._fate)
        self._until(lambda: not self._busy and self.ledger.drained)
        self._over = True
        for process in self._processes:
            process.stop()
        self._until(lambda: not self._living)
        if self.ledger.wrong is None:
            self.ledger.check_end()

    def _until(self, goal: Callable[[], bool]) -> None:
        """Play on until something is reached, and complain if it isn't, for so many steps of peace."""
        peaceful = 0
        while self.ledger.wrong is None and not goal():
            peaceful += not self._busy
            if not self.stage.step() or peaceful > MOST_STEPS:
                self.ledger.complain_of_no_end()

    # -- who is there

    def _queue(self, name: str) -> tuple[Queue[Any], Any]:
        producer = Life("producer")
        queue = Queue(name, self._client(producer), keep_succeeded=1000)
        act = declare(queue, self._perform, self._max_lost, self._unit)
        jobs = [plan for plan in self._plans if plan.queue == name]
        self._busy += 1
        self.stage.start(producer, lambda: self._produce(queue, act, jobs))
        return queue, act

    def _client(self, life: Life) -> Client:
        """A client for a process; those that died have left theirs."""
        left = [client for whom, client in self._clients.items() if whom.dead]
        backend = left[0].backend if left else self._open()
        self._clients = {whom: client for whom, client in self._clients.items() if client not in left[:1]}
        client = self._clients[life] = Client(self.stage, life, backend, partial(self._carry, life))
        return client

    def _open(self) -> Backend:
        self._backends.append(self.harness.make())
        return self._backends[-1]

    def _carry(self, life: Life, verb: str, arguments: tuple[Any, ...], *, late: bool = False) -> Any:
        answer = getattr(self._clients[life].backend if life in self._clients else self._observer, verb)(*arguments)
        self.ledger.carried(life, verb, arguments, answer, late=late)
        return answer

    def _look_after(self, parent: Life, backend: Backend) -> None:
        """Keep as many processes as are wanted; bring back what the dead had, or leave that to others."""
        for _ in range(self._wanted):
            self._begin()
        queues = [queue for queue, _ in self._queues.values()]
        recoveries = recoveries_of(parent, queues, backend, self._lease)
        mourned: list[Process] = []
        while True:
            self.stage.wait(inf, lambda: self._too_few)
            self.stage.wait(self._draw.choice((0.0, 0.5, 5.0)) * self._unit)
            if self._too_few:
                self._begin()
            for dead in [process for process in self._processes if process.dead and process not in mourned]:
                mourned.append(dead)
                if self._draw.random() < 0.5:
                    self._recover(recoveries, dead)

    def _recover(self, recoveries: list[Recovery], dead: Process) -> None:
        for recovery in recoveries:
            while True:
                with suppress(BackendError):
                    recovery.recover(dead.name)
                    break
                self.stage.wait(self._unit)

    @property
    def _too_few(self) -> bool:
        return not self._over and len(self._living) < self._wanted

    @property
    def _living(self) -> list[Process]:
        return [process for process in self._processes if not process.dead]

    # -- what they do

    def _produce(self, queue: Queue[Any], act: Any, jobs: list[Plan]) -> None:
        for plan in jobs:
            self.stage.wait(self._draw.choice((0.0, 0.0, 0.1, 3.0)) * self._unit)
            self.ledger.plans[plan.id] = plan
            while plan.id not in self.ledger.stored:
                try:
                    self._enqueue(queue, act, plan)
                    self.ledger.stored.add(plan.id)
                except (BackendError, EnqueueUncertain):
                    if self._draw.random() < 0.5:
                        break  # it gives up: then the job may be there, or not
        self._busy -= 1

    def _enqueue(self, queue: Queue[Any], act: Any, plan: Plan) -> None:
        if plan.words == ("garble",):
            queue.backend.push(queue.name, [Push(plan.id, b"{", plan.priority, remember=60)])
        else:
            job = act.job(list(plan.words), plan.takes)
            queue.enqueue(job, id=plan.id, delay=plan.delay, priority=plan.priority)

    def _perform(self, context: JobContext[Any], words: list[str], takes: float) -> Any:
        """Run a job as its script says."""
        life = self.stage.acting.life
        assert isinstance(life, Process)
        run, word = self.ledger.begin(life, context), words[context.attempt - 1]
        try:
            life.work(inf if word == "time out" else takes)
        finally:
            if not life.dead:
                self.ledger.end(life, context.id, run, word)
        match word:
            case "retry":
                return Retry(word)
            case "fail":
                return Failure(word)
            case "raise":
                raise ValueError(word)
            case "kill":
                life.dead = True
                raise Died
        return Success(word)

    # -- what happens to them

    def _fate(self) -> None:
        """Strike now and then, most times when something was done just now, and not all know it yet."""
        for strike in self._strikes:
            mark = len(self.ledger.rows) + self._draw.expovariate(1 / 8)
            self.stage.wait(5 * self._unit, lambda mark=mark: len(self.ledger.rows) >= mark)  # type: ignore[misc]  # bound now
            trouble = self._draw.choice(self._troubles)
            if strike not in self.without:
                trouble()
        self._busy -= 1

    def _some_troubles(self) -> list[Callable[[], None]]:
        """Not all kinds at once: some faults only show in the absence of others."""
        kinds: list[Callable[[], None]] = [self._begin, self._stop, self._crash, self._freeze, self._cut_off]
        kinds += [partial(self._lose, trouble) for trouble in Trouble]
        return self._draw.sample(kinds, self._draw.randint(1, len(kinds)))

    def _begin(self) -> None:
        name, origin = f"w{len(self._processes) + 1}", self._draw.uniform(0, 1e6)
        self.ledger.note(Life(name), "begins")
        process = Process(
            self.stage,
            name,
            origin,
            queues=[queue for queue, _ in self._queues.values()],
            lease=self._lease,
            apart=self._draw.random() < 0.5,
            ledger=self.ledger,
        )
        process.start(self._client(process))
        self._processes.append(process)

    def _stop(self) -> None:
        for process in self._one():
            self.ledger.note(process, "is told to stop")
            process.stop()

    def _crash(self) -> None:
        for process in self._one():
            self.ledger.note(process, "crashes")
            process.dead = True

    def _freeze(self) -> None:
        for process in self._one():
            process.still_until = self._hinder(process, "stands still")

    def _cut_off(self) -> None:
        for process in self._one():
            self._clients[process].away_until = self._hinder(process, "can't reach the store")

    def _hinder(self, process: Process, how: str) -> float:
        """For less than what a lease bears, or for more."""
        span = self._lease * self._draw.choice((0.02, 0.2, 1.1, 3.0))
        self.ledger.note(process, f"{how} for {span:g} s")
        self.ledger.hindrances.append((process, self.stage.now, self.stage.now + span))
        return self.stage.now + span

    def _lose(self, trouble: Trouble) -> None:
        life, verb = self._draw.choice([*self._clients]), self._draw.choice(VERBS[:5])
        self.ledger.note(life, f"its next {verb} will find that {trouble}")
        self._clients[life].troubles.append((verb, trouble))

    def _one(self) -> list[Process]:
        """A process that lives, if any does: rather the one that did something just now."""
        last = [process for process in self._living if str(process) == self.ledger.rows[-1].who]
        living = last if last and self._draw.random() < 0.5 else self._living
        return [self._draw.choice(living)] if living else []


def shortest(play: Play) -> Play:
    """A play of the same seed in which the same law is broken, with as few jobs and as little happening as that takes.

    Where real time passes a play is never the same again, and is left as it is.
    """
    assert play.wrong
    law, found = play.wrong.law, [play]

    def fails(kept: Sequence[str]) -> bool:
        tried = Play(play.seed, play.harness, {*play.parts} - {*kept})
        tried.run()
        if same := tried.wrong is not None and tried.wrong.law == law:
            found.append(tried)
        return same

    shortened(play.parts, Tries(fails, TRIES if play.harness.clock else 0))
    return found[-1]
