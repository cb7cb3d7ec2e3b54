"""The worker: what runs the jobs of some queues in one process."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from types import FrameType, TracebackType
from typing import Any, Final, Self

from msgspec import structs

from jobcore import clocks
from jobcore.backend import Backend, InvalidArgument
from jobcore.events import Event, Kind, Listener, Teller, listeners_of
from jobcore.hands import Hands
from jobcore.job import DAY, Seconds, check_seconds, seconds
from jobcore.leases import Keeper
from jobcore.lifespans import enter_lifespans
from jobcore.loops import check_positive
from jobcore.monitor import new_holder, watch
from jobcore.mover import Mover
from jobcore.queue import Queue
from jobcore.recovery import Recovery
from jobcore.run import Task
from jobcore.settling import started_event
from jobcore.shift import SETTLE_SECONDS, Lane, Shift
from jobcore.starvation import LoopWatch

_log: Final = logging.getLogger("jobcore")


class Worker:
    """Runs the jobs of some queues, in this process, at least once each.

    Args:
        queues: what to run; they may be on different backends.
        concurrency: how many jobs may run at once.
        limits: for a queue's name, how many of its jobs may run at once.
        lease: seconds after which a job whose worker is gone may be taken over; renewed while it runs.
        poll_interval: seconds between looks at a queue that nothing was heard of.
        grace: seconds for which a stopping worker waits for running jobs, and for which a job may run on past
            its timeout.
        monitor: whether to run a `Monitor` as well.
        prefetch: how many jobs are held for each hand at the most, the one that runs included: with 1, none waits
            for a hand here while it could start elsewhere. None: as many as should start within 50 ms.
        settle_every: seconds for which a finished job waits for others, to be settled in one call with them; 0: not
            at all. What is finished and not settled when a worker dies runs again.
        on_event: listeners, each called with batches of `Event`, on a thread of their own.
        holder: a text unique to this process's start, under which the store knows what is held.
        replaceable: whether to stop once half of the hands are gone to jobs that won't stop.

    Raises:
        InvalidArgument: an argument has no sense; the message says which.
    """

    def __init__(
        self,
        *queues: Queue[Any],
        concurrency: int = 16,
        limits: Mapping[str, int] | None = None,
        lease: Seconds = 120.0,
        poll_interval: Seconds = 60.0,
        grace: Seconds = 30.0,
        monitor: bool = True,
        prefetch: int | None = None,
        settle_every: Seconds = SETTLE_SECONDS,
        on_event: Sequence[Listener] | Listener = (),
        holder: str | None = None,
        replaceable: bool = False,
    ) -> None:
        self._limits = dict(limits or {})
        _check(queues, concurrency, self._limits)
        self._queues = [(queue, queue.binding) for queue in queues]  # as they are now: `using` may end meanwhile
        self._concurrency = concurrency
        self._shift = Shift(
            holder=holder or new_holder(),
            lease=check_positive("lease", lease),
            poll_interval=check_positive("poll_interval", poll_interval),
            grace=check_seconds("grace", grace),
            prefetch=_checked_prefetch(prefetch),
            settle_every=check_seconds("settle_every", settle_every),
        )
        self._listeners = listeners_of(queues, on_event)
        self._monitors = monitor
        self._replaceable = replaceable
        self._resources: ExitStack | None = None
        self._running = False
        self._ended: Future[None] = Future()

    # -- running

    def run(self, *, until_empty: bool = False) -> None:
        """Run jobs until stopped; blocks. After `stop()` it returns at once, without running anything.

        In the main thread SIGTERM and SIGINT stop it: the first as `stop()` does, the second at once.

        Args:
            until_empty: return when a claim of each queue gave nothing and nothing runs here.
        """
        with self._open() as usable:
            if usable:
                with self._signals():
                    self._move(until_empty=until_empty)

    def step(self) -> int:
        """Claim once from each queue, run what came to its end, settle it; returns how many jobs ran.

        Never waits for jobs. Of those that were lost twice one is run, after all others; the rest go back, unrun and
        uncounted, for further steps. The lifespan is entered by the first step and left by `stop()`, after which it
        returns 0.

        Raises:
            BackendError: the store did not answer as it should.
        """
        with self._open(keep=True) as usable:
            return self._step() if usable else 0

    def stop(self, *, now: bool = False) -> None:
        """Claim no more, give back what has not begun, and wait for the rest: for up to `grace`, or not (`now`).

        Returns at once; `run` returns when that is done. Also from other threads and from jobs. A stopped
        worker can't be run again.
        """
        self._shift.stop(now=now)
        if not self._running:
            self._leave()

    def running(self) -> list[Event]:
        """What runs here at this moment, the longest first: as events of its start, with the seconds since then.

        From any thread, also to tell others that this process is at work.
        """
        now = clocks.steady()
        lanes = [lane for mover in self._shift.movers for lane in mover.lanes]
        tasks = [task for lane in lanes for task in list(lane.held) if task.began and not task.ended]
        tasks.sort(key=lambda task: task.began)
        return [structs.replace(started_event(task), seconds=now - task.began) for task in tasks]

    def __enter__(self) -> Self:
        """Run in a thread of its own; returns once the lifespan has been entered."""
        entered: Future[None] = Future()
        self._ended = Future()
        thread = threading.Thread(target=self._run_in_thread, args=(entered,), name="jobcore-worker", daemon=True)
        thread.start()
        entered.result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, and wait until it has stopped."""
        self.stop()
        self._ended.result()

    async def __aenter__(self) -> Self:
        """As `with`, without blocking the event loop."""
        try:
            return await asyncio.to_thread(self.__enter__)
        except asyncio.CancelledError:
            self.stop()  # whatever has been entered by then is left
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, and wait until it has stopped."""
        await asyncio.to_thread(self.__exit__, kind, error, trace)

    def _run_in_thread(self, entered: Future[None]) -> None:
        try:
            with self._open() as usable:
                entered.set_result(None)
                if usable:
                    self._move()
        except BaseException as error:  # noqa: BLE001 -- it is raised where the worker was started, or is left
            (self._ended if entered.done() else entered).set_exception(error)
        else:
            self._ended.set_result(None)

    def _move(self, *, until_empty: bool = False) -> None:
        """Run the movers, the first of them here, until they are over."""
        self._shift.until_empty = until_empty
        with self._monitor():
            first, *others = self._shift.movers
            with ExitStack() as stack:
                for mover in others:
                    thread = threading.Thread(target=self._run_mover, args=[mover], name="jobcore-mover", daemon=True)
                    with self._all_or_none():
                        thread.start()
                    stack.callback(thread.join)
                self._run_mover(first)

    def _run_mover(self, mover: Mover) -> None:
        with self._all_or_none():
            mover.run()

    @contextmanager
    def _all_or_none(self) -> Iterator[None]:
        """Where one mover breaks down, have all stop: who went on would claim what nobody runs."""
        try:
            yield
        except BaseException:
            self._shift.stop(now=True)
            raise

    def _step(self) -> int:
        given = 0
        try:
            for mover in self._shift.movers:
                mover.settle()
                for lane in mover.lanes:
                    given += mover.claim_from(lane, lane.limit or self._concurrency)
        finally:
            self._finish()  # also when a claim fails: what others gave runs to its end
        return given

    def _finish(self) -> None:
        with ExitStack() as stack:  # the last one first: a job that is to run alone waits for all others
            for mover in sorted(self._shift.movers, key=lambda each: not each.lonely):
                stack.callback(mover.finish)

    # -- what runs along with it

    @contextmanager
    def _open(self, *, keep: bool = False) -> Iterator[bool]:
        """Have everything ready, unless the worker was stopped; leave it again, or `keep` it until it is."""
        self._running = True
        try:
            if self._resources is None and not self._shift.stopping:
                self._enter()
            yield self._resources is not None
        finally:
            self._running = False
            if self._shift.stopping or not keep:
                self._leave()

    def _enter(self) -> None:
        """Open the backends, enter the lifespans, and start what keeps leases."""
        shift = self._shift
        lanes = [Lane(queue, binding, self._limits.get(queue.name)) for queue, binding in self._queues]
        with ExitStack() as stack:
            shift.hands = Hands(self._concurrency, self._on_stuck, shift.grace)
            stack.callback(shift.hands.close)
            shift.begin([Mover(shift, backend, its) for backend, its in _by_backend(lanes)], Teller(self._listeners))
            stack.callback(shift.teller.close)
            self._tell_routine(lanes)
            if any(lane.binding.lifespan for lane in lanes):
                stack.callback(enter_lifespans(lanes, shift.hands.loop))
            for mover in shift.movers:
                keeper = Keeper(mover, mover.backend, shift.lease)
                keeper.start()
                stack.callback(keeper.stop)
            look = LoopWatch(shift.hands, shift.teller, lanes[0].name, shift.lease)
            look.start()
            stack.callback(look.stop)
            self._resources = stack.pop_all()

    def _leave(self) -> None:
        resources, self._resources = self._resources, None
        if resources is not None:
            resources.close()

    def _tell_routine(self, lanes: Sequence[Lane]) -> None:
        """Have it told that jobs start and succeed only if somebody listens: events cost as much as small jobs."""
        _, *others = self._listeners
        if others or any(lane.logger.isEnabledFor(logging.DEBUG) for lane in lanes):
            for lane in lanes:
                lane.begun, lane.routine = lane.mover.begun if lane.mover is not None else None, True

    @contextmanager
    def _monitor(self) -> Iterator[None]:
        """Run what a monitor does meanwhile, unless told not to."""
        if not self._monitors:
            yield
            return
        shift, stop = self._shift, threading.Event()
        recoveries = [
            Recovery(queue, binding, holder=shift.holder, lease=shift.lease, abandon_after=DAY, heal=True)
            for queue, binding in self._queues
        ]
        shift.look_after(recoveries)
        arguments = recoveries, shift.lease / 10, stop
        threading.Thread(target=watch, args=arguments, name="jobcore-monitor", daemon=True).start()
        try:
            yield
        finally:
            stop.set()
            shift.look_after(())

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """In the main thread: the first SIGTERM or SIGINT stops, the second stops at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(_number: int, _frame: FrameType | None) -> None:
            self.stop(now=self._shift.stopping)

        before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_stuck(self, task: Task) -> None:
        claim, limit = task.claim, task.type.policy.timeout
        reason = f"it runs on past its timeout of {seconds(limit or 0):g} s and won't stop: its lease is let go"
        took = clocks.steady() - task.began
        where, name = task.setting.name, task.type.name
        event = Event(Kind.STUCK, where, claim.id, name, clocks.wall(), claim.attempt, claim.lost, took, reason)
        self._shift.teller.tell([event])
        if self._replaceable and self._shift.exhausted:
            self._shift.stop()


def _check(queues: Sequence[Queue[Any]], concurrency: int, limits: Mapping[str, int]) -> None:
    if not queues:
        raise InvalidArgument("a worker needs at least one queue")
    for queue in queues:
        if not isinstance(queue, Queue):
            raise InvalidArgument(f"a worker takes queues, such as Queue('mail'), not {queue!r}")
    names = [queue.name for queue in queues]
    if len(set(names)) < len(names):
        raise InvalidArgument(f"a worker takes each queue once, not {', '.join(names)}")
    if type(concurrency) is not int or concurrency < 1:
        raise InvalidArgument(f"concurrency is a whole number from 1 on, not {concurrency!r}")
    for name, limit in limits.items():
        if name not in names:
            raise InvalidArgument(f"limits has {name!r}, which is no queue of this worker; it has: {', '.join(names)}")
        if type(limit) is not int or limit < 1:
            raise InvalidArgument(f"limits has {name}={limit!r}: a limit is a whole number from 1 on")


def _checked_prefetch(prefetch: int | None) -> int | None:
    if prefetch is not None and (type(prefetch) is not int or prefetch < 1):
        raise InvalidArgument(f"prefetch is how many jobs a hand may hold, from 1 on, or None, not {prefetch!r}")
    return prefetch


def _by_backend(lanes: Sequence[Lane]) -> list[tuple[Backend, list[Lane]]]:
    found: dict[int, tuple[Backend, list[Lane]]] = {}
    for lane in lanes:
        backend = lane.binding.backend
        found.setdefault(id(backend), (backend, []))[1].append(lane)
    return list(found.values())
