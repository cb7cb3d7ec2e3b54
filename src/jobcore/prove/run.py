"""A run: producers, workers and a nemesis on a scratch queue; then all must drain, and the journals are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Final

from msgspec import Struct

from jobcore.backend import Backend, State
from jobcore.connect import open_backend
from jobcore.errors import BackendError, ConfigurationError, JobcoreError
from jobcore.prove.checker import check
from jobcore.prove.fleet import Fleet
from jobcore.prove.history import Told
from jobcore.prove.journal import read
from jobcore.prove.nemesis import PATIENCE_SECONDS, Fault, Kind, Nemesis, plan
from jobcore.prove.producing import Pace, Producer
from jobcore.prove.proxy import Proxy, endpoint
from jobcore.prove.report import Report
from jobcore.prove.settings import Settings
from jobcore.prove.worker import Orders

_LOOK_SECONDS: Final = 0.1
_PAGE: Final = 1000
_UNFINISHED: Final = (State.READY, State.SCHEDULED, State.RUNNING)


class Stage(Struct, frozen=True):
    """How far a run has come: jobs acknowledged, faults done, and, once all are, jobs that are left in the queue."""

    pushed: int
    struck: int
    left: int | None = None


class Run:
    """One run; `execute` is called once.

    Args:
        settings: what it is made of.
        folder: where the journals are written; empty.
        restart: kills the server, starts it again and returns once it answers; None: that can't be had.
        tell: called several times a second with how far it has come.

    Attributes:
        told: what the journals told, once it is over.
    """

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        *,
        restart: Callable[[], object] | None = None,
        tell: Callable[[Stage], object] = lambda _stage: None,
    ) -> None:
        self.told = Told()
        self._settings = settings
        self._folder = folder
        self._restart = restart
        self._tell = tell
        self._pace = Pace()
        self._struck: list[Fault] = []
        self._possible, self._left_out = settings.possible(restarts=restart is not None)

    def execute(self) -> Report:
        """Do it all, and clean up.

        Raises:
            ConfigurationError: the queue is not empty.
            BackendError: the store is away at the beginning, or at the end.
            JobcoreError: it took no job for a minute, or a worker process ended by itself.
        """
        with self._scratch() as backend:
            self._work(backend)
            entries = dict(_entries(backend, self._settings.queue))
        for journal in sorted(self._folder.glob("*.journal")):
            self.told.read(journal.name, read(journal))
        return self._report(entries)

    def _work(self, backend: Backend) -> None:
        """Push, work and torment; then wait until all is drained, and the workers have left."""
        with ExitStack() as stack:
            proxy = self._proxy(stack)
            url = proxy.url(self._settings.url) if proxy else self._settings.url
            fleet = self._fleet(url)
            stack.callback(fleet.kill)
            producers = self._produce(url, stack)
            self._torment(fleet, proxy, producers)
            self._drain(backend, fleet)
            fleet.stop()

    # -- what it is made of

    @contextmanager
    def _scratch(self) -> Iterator[Backend]:
        """The store, with an empty queue that is destroyed at the end."""
        with closing(open_backend(self._settings.url)) as backend:
            _check_empty(backend, self._settings.queue)
            try:
                yield backend
            finally:
                if not self._settings.keep:
                    backend.destroy(self._settings.queue)

    def _proxy(self, stack: ExitStack) -> Proxy | None:
        target = endpoint(self._settings.url)
        if target is None or not (self._possible[Kind.CUT] or self._possible[Kind.STALL]):
            return None
        proxy = Proxy(*target)
        stack.callback(proxy.close)
        return proxy

    def _fleet(self, url: str) -> Fleet:
        settings = self._settings
        return Fleet(
            settings.workers,
            Orders(url, settings.queue, "", str(self._folder / "workers.log"), settings.lease, settings.concurrency),
        )

    def _produce(self, url: str, stack: ExitStack) -> list[Producer]:
        settings, producers = self._settings, []
        for number in range(settings.producers):
            journal = self._folder / f"producer-{number}.journal"
            seed = settings.seed + number
            producers.append(Producer(settings.queue, lambda: open_backend(url), journal, self._pace, seed))
        for producer in producers:
            producer.start()
            stack.callback(producer.join)
        stack.callback(self._pace.close)
        return producers

    # -- what it goes through

    def _torment(self, fleet: Fleet, proxy: Proxy | None, producers: list[Producer]) -> None:
        """Carry out the faults, and wait until all is pushed."""
        settings = self._settings
        faults = plan(self._possible, settings.lease, settings.seed)
        nemesis = Nemesis(faults, settings.jobs, self._pace, fleet, proxy, self._restart, self._struck.append)
        with ThreadPoolExecutor(1, thread_name_prefix="jobcore-nemesis") as aside:
            doing = aside.submit(nemesis.run)
            try:
                self._await_pushes(fleet, producers, doing)
            finally:
                nemesis.stop()
                self._pace.close()

    def _await_pushes(self, fleet: Fleet, producers: list[Producer], doing: Future[None]) -> None:
        patience = _Patience("no job could be pushed")
        while not (_over(doing) and self._pace.acknowledged >= self._settings.jobs):
            self._pace.wait(self._settings.jobs, _LOOK_SECONDS)
            self._tell(Stage(self._pace.acknowledged, len(self._struck)))
            fleet.check()
            for producer in producers:
                if producer.error:
                    raise producer.error
            patience.see((self._pace.acknowledged, len(self._struck)))

    def _drain(self, backend: Backend, fleet: Fleet) -> None:
        """Wait until nothing is to be run any more, or nothing moves any more."""
        patience, wait = _Patience("nothing moves"), Event().wait
        with suppress(_Exhausted):
            while (left := _left(backend, self._settings.queue)) != 0:
                self._tell(Stage(self._pace.acknowledged, len(self._struck), left))
                fleet.check()
                patience.see(left)
                wait(_LOOK_SECONDS)
        self._tell(Stage(self._pace.acknowledged, len(self._struck), 0))

    def _report(self, entries: dict[str, State]) -> Report:
        told, settings = self.told, self._settings
        kills = [fault for fault in self._struck if fault.kind is Kind.KILL]
        times = [*told.pushed.values(), *told.ended.values()]
        return Report(
            store=settings.store,
            seed=settings.seed,
            begin=min(times, default=0),
            seconds=(max(times, default=0) - min(times, default=0)) / 1_000_000,
            faults=self._struck,
            left_out=self._left_out,
            verdict=check(told.history(entries)),
            settled=len(told.ended),
            takeovers=told.takeovers,
            recovery=sorted(seconds for kill in kills for seconds in told.recovery(kill.journal or "", kill.begin)),
            stuck=sorted(id for id, state in entries.items() if state in _UNFINISHED),
        )


class _Exhausted(JobcoreError):
    """Nothing has changed for too long."""


class _Patience:
    """Raises `_Exhausted` when what it is shown stays the same for a minute."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._seen: object = None
        self._until = 0.0

    def see(self, value: object) -> None:
        if value != self._seen:
            self._seen, self._until = value, monotonic() + PATIENCE_SECONDS
        elif monotonic() > self._until:
            raise _Exhausted(f"{self._what} for {PATIENCE_SECONDS:.0f} s: does the store answer?")


def _over(doing: Future[None]) -> bool:
    """Whether it is done; raises what it raised."""
    if doing.done():
        doing.result()
    return doing.done()


def _check_empty(backend: Backend, queue: str) -> None:
    counts = backend.counts(queue)
    if any(getattr(counts, state) for state in State):
        raise ConfigurationError(f"queue {queue!r} holds jobs: name one that is empty, as it is destroyed at the end")


def _left(backend: Backend, queue: str) -> int | None:
    """How many jobs are to be run yet; None while the store does not say."""
    try:
        counts = backend.counts(queue)
    except BackendError:
        return None
    return counts.ready + counts.scheduled + counts.running


def _entries(backend: Backend, queue: str) -> Iterator[tuple[str, State]]:
    """All jobs that are in the store, and their states."""
    for state in State:
        after = None
        while True:
            page = backend.peek(queue, state, _PAGE, after)
            yield from ((entry.id, entry.state) for entry in page.entries)
            after = page.next
            if after is None:
                break
