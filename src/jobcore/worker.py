"""The worker: what runs the jobs of some queues in one process."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, contextmanager
from time import perf_counter, time
from types import FrameType, TracebackType
from typing import Any, Self

from jobcore.backend import Backend, InvalidArgument
from jobcore.events import Event, Kind, Listener, LogListener, Teller
from jobcore.hands import Hands
from jobcore.job import Seconds, seconds
from jobcore.leases import Keeper
from jobcore.monitor import Monitor, new_holder
from jobcore.mover import Lane, Mover, Shift
from jobcore.queue import Queue
from jobcore.run import Task


class Worker:
    """Runs the jobs of some queues, in this process, at least once each.

    Args:
        queues: what to run; they may be on different backends.
        concurrency: how many jobs may run at once.
        limits: for a queue's name, how many of its jobs may run at once.
        lease: seconds after which a job whose worker is gone may be taken over; renewed while it runs.
        poll_interval: seconds between looks at a queue that nothing was heard of.
        grace: seconds for which a stopping worker waits for running jobs, and for which a sync job may run
            on past its timeout.
        monitor: whether to run a `Monitor` as well.
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
        on_event: Sequence[Listener] | Listener = (),
        holder: str | None = None,
        replaceable: bool = False,
    ) -> None:
        limits = dict(limits or {})
        self._check(queues, concurrency, limits, lease=lease, poll_interval=poll_interval, grace=grace)
        self._queues = queues
        self._lanes = [Lane(queue, queue.binding, limits.get(queue.name)) for queue in queues]
        self._hands = Hands(concurrency, self._on_stuck, seconds(grace))
        self._shift = Shift(
            hands=self._hands,
            holder=holder or new_holder(),
            lease=seconds(lease),
            poll_interval=seconds(poll_interval),
            grace=seconds(grace),
        )
        self._on_event = (on_event,) if callable(on_event) else tuple(on_event)
        self._monitors = monitor
        self._replaceable = replaceable
        self._resources: ExitStack | None = None
        self._running = False
        self._ended: Future[None] = Future()

    @staticmethod
    def _check(
        queues: Sequence[Queue[Any]], concurrency: int, limits: Mapping[str, int], **durations: Seconds
    ) -> None:
        if not queues:
            raise InvalidArgument("a worker needs at least one queue")
        names = [queue.name for queue in queues]
        if len(set(names)) < len(names):
            raise InvalidArgument(f"a worker takes each queue once, not {', '.join(names)}")
        if concurrency < 1:
            raise InvalidArgument(f"concurrency is at least 1, not {concurrency!r}")
        for name, limit in limits.items():
            if name not in names or limit < 1:
                raise InvalidArgument(f"limits has {name}={limit!r}: a limit is at least 1, for one of {names}")
        for what, duration in durations.items():
            if seconds(duration) < 0 or (what != "grace" and not seconds(duration)):
                raise InvalidArgument(f"{what} is a positive duration, not {duration!r}")

    # -- running

    def run(self, *, until_empty: bool = False) -> None:
        """Run jobs until stopped; blocks.

        In the main thread SIGTERM and SIGINT stop it: the first as `stop()` does, the second at once.

        Args:
            until_empty: return when a claim of each queue gave nothing and nothing runs here.
        """
        self._shift.until_empty = until_empty
        self._running = True
        self._enter()
        try:
            with self._signals(), self._monitor():
                self._move()
        finally:
            self._running = False
            self._leave()

    def _move(self) -> None:
        first, *others = self._shift.movers
        threads = [threading.Thread(target=mover.run, name="jobcore-mover", daemon=True) for mover in others]
        for thread in threads:
            thread.start()
        first.run()
        for thread in threads:
            thread.join()

    def step(self) -> int:
        """Claim once from each queue, run what came to its end, settle it; returns how many jobs ran.

        Never waits for jobs. The lifespan is entered by the first step and left by `stop()`.

        Raises:
            BackendError: the store did not answer as it should.
        """
        self._enter()
        given = 0
        for mover in self._shift.movers:
            mover.settle(at_once=True)
            for lane in mover.lanes:
                given += mover.claim_from(lane, lane.limit or self._hands.count)
        for mover in self._shift.movers:
            mover.finish()
        return given

    def stop(self, *, now: bool = False) -> None:
        """Claim no more, give back what has not begun, and wait for the rest: for up to `grace`, or not (`now`).

        Returns at once; `run` returns when that is done. Also from other threads and from jobs. A stopped
        worker can't be run again.
        """
        self._shift.stop(now=now)
        if not self._running:
            self._leave()

    def __enter__(self) -> Self:
        """Run in a thread of its own; returns once the lifespan has been entered."""
        entered: Future[None] = Future()
        self._running = True
        threading.Thread(target=self._run_in_thread, args=(entered,), name="jobcore-worker", daemon=True).start()
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
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, and wait until it has stopped."""
        await asyncio.to_thread(self.__exit__, kind, error, trace)

    # -- what runs along with it

    def _run_in_thread(self, entered: Future[None]) -> None:
        try:
            self._enter()
        except BaseException as error:  # noqa: BLE001 -- it is raised where the worker was started
            entered.set_exception(error)
            return
        entered.set_result(None)
        try:
            self.run()
        except BaseException as error:  # noqa: BLE001 -- it is raised where the worker is left
            self._ended.set_exception(error)
        else:
            self._ended.set_result(None)

    def _enter(self) -> None:
        """Open the backends, enter the lifespans, and start what both `run` and `step` need."""
        if self._resources is not None:
            return
        shift = self._shift
        with ExitStack() as stack:
            shift.movers = [Mover(shift, backend, lanes) for backend, lanes in self._by_backend()]
            stack.callback(self._hands.close)
            shift.teller = self._new_teller()
            stack.callback(shift.teller.close)
            if any(lane.binding.lifespan for lane in self._lanes):
                leave = self._hands.loop.wait(_enter_lifespans(self._lanes))
                stack.callback(lambda: self._hands.loop.wait(leave()))
            for mover in shift.movers:
                keeper = Keeper(mover, mover.backend, shift.lease)
                keeper.start()
                stack.callback(keeper.stop)
            self._resources = stack.pop_all()

    def _leave(self) -> None:
        resources, self._resources = self._resources, None
        if resources is not None:
            resources.close()

    def _by_backend(self) -> list[tuple[Backend, list[Lane]]]:
        found: dict[int, tuple[Backend, list[Lane]]] = {}
        for lane in self._lanes:
            backend = lane.binding.backend
            found.setdefault(id(backend), (backend, []))[1].append(lane)
        return list(found.values())

    def _new_teller(self) -> Teller:
        """Events for whoever listens; `started` only if somebody wants routine."""
        log = LogListener({queue.name: queue.logger for queue in self._queues})
        listeners = [*self._on_event, *(_only(queue.name, each) for queue in self._queues for each in queue.listeners)]
        for lane in self._lanes:
            lane.begun = lane.mover.begun if lane.mover is not None and (listeners or log.wants()) else None
        return Teller([log, *listeners])

    @contextmanager
    def _monitor(self) -> Iterator[None]:
        """Run a monitor meanwhile, unless told not to."""
        if not self._monitors:
            yield
            return
        monitor = Monitor(*self._queues, lease=self._shift.lease, on_event=self._on_event)
        threading.Thread(target=monitor.run, name="jobcore-monitor", daemon=True).start()
        try:
            yield
        finally:
            monitor.stop()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """In the main thread: the first SIGTERM or SIGINT stops, the second stops at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(number: int, frame: FrameType | None) -> None:
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
        took = perf_counter() - task.began
        where, name = task.setting.name, task.type.name
        event = Event(Kind.STUCK, where, claim.id, name, time(), claim.attempt, claim.lost, took, reason)
        self._shift.teller.tell([event])
        if self._replaceable and self._shift.exhausted:
            self._shift.stop()


async def _enter_lifespans(lanes: Sequence[Lane]) -> Callable[[], Coroutine[Any, Any, None]]:
    """Enter the lanes' lifespans, in order, in one task that lives until the returned function is called.

    One task enters and leaves, as cancel scopes and task groups demand.
    """
    entered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    leaving = asyncio.Event()

    async def live() -> None:
        try:
            async with AsyncExitStack() as stack:
                for lane in lanes:
                    if lane.binding.lifespan is not None:
                        manager = lane.binding.lifespan()
                        lane.state = (
                            await stack.enter_async_context(manager)
                            if isinstance(manager, AbstractAsyncContextManager)
                            else stack.enter_context(manager)
                        )
                entered.set_result(None)
                await leaving.wait()
        except BaseException as error:
            if entered.done():
                raise
            entered.set_exception(error)

    life = asyncio.create_task(live())

    async def leave() -> None:
        leaving.set()
        await life

    await entered
    return leave


def _only(queue: str, listener: Listener) -> Listener:
    """A listener that hears of one queue alone."""

    def hear(events: Sequence[Event]) -> None:
        heard = [event for event in events if event.queue == queue]
        if heard:
            listener(heard)

    return hear
