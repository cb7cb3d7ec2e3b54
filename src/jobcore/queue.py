"""Queues: where a program declares its jobs and hands them in."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from datetime import datetime
from itertools import repeat
from typing import TYPE_CHECKING, Any, Concatenate, Final, Generic, Literal, ParamSpec, Protocol, Self, cast, overload

import msgspec

from jobcore.backend import Joins, Keep, Push, Pushed, check_push, check_queue
from jobcore.binding import Binding, Lifespan, Source
from jobcore.codec import Registry, Undecodable, check_name, envelope, name_in
from jobcore.errors import ConfigurationError, InvalidArgument, RegistrationError, Uncertain
from jobcore.events import Event, Kind, Listener, Teller
from jobcore.forks import survive_forks
from jobcore.functions import FunctionJob, calls_of
from jobcore.job import Job, JobContext, JobOptions, Policy, PolicyOptions, Seconds
from jobcore.operations import Operations
from jobcore.pushing import due, microseconds, new_id, push_surely, uncertain

if TYPE_CHECKING:
    from typing_extensions import TypeVar, Unpack

    Q = TypeVar("Q", default=None)
else:
    from typing import TypeVar, Unpack

    Q = TypeVar("Q")

P = ParamSpec("P")
R = TypeVar("R")
J = TypeVar("J", bound="type[Job[Any]]")

MIB: Final = 1 << 20
DAY: Final = 86400
_UNSET: Final = cast("Any", object())


class Register(Protocol):
    """What `queue.job(**policy)` gives: a decorator for classes and functions."""

    @overload
    def __call__(self, job: J, /) -> J: ...  # type: ignore[overload-overlap]  # a class is callable too: first wins
    @overload
    def __call__(self, job: Callable[P, R], /) -> FunctionJob[P, R]: ...


class Queue(Operations, Generic[Q]):
    """A named queue of jobs; `Q` is the state that its jobs are run with.

    Making one opens nothing: the first verb does, and again in a forked child.

    Args:
        name: 1 to 200 of `A-Z a-z 0-9 . _ -`.
        backend: a URL, a `Backend` (which stays its maker's to close), a function that gives one, or None for
            the environment variable JOBCORE_URL, read at the first use. Queues with equal URLs share one backend.
        jobs: classes to register, as `@queue.job` does.
        state: a ready value, handed to each job.
        lifespan: makes a sync or async context manager, which each worker enters before its first claim, on its
            own event loop, and whose value is then the state.
        keep_failed: how many failed and timed out jobs are kept together.
        keep_succeeded: how many successful jobs are kept.
        remember: for how long an id that the user chose is remembered once its job has left the store.
        max_payload: bytes that a job may have as JSON.
        logger: default: `logging.getLogger("jobcore.NAME")`.
        on_event: called with batches of `jobcore.events.Event`, on a thread of their own.
        policy: what holds for jobs that say nothing else; see `Policy`.

    Raises:
        InvalidArgument: a value is of the wrong type or out of range.
        ConfigurationError: the backend is none of the above.
        RegistrationError: a job can't be stored or run.

    Attributes:
        name: the queue's name.
        registry: its job types.
        policy: the defaults.
        keep: how many finished jobs are kept.
        remember: in whole seconds.
        logger: where workers log what happens.
        listeners: what is called with events.
    """

    @overload
    def __init__(
        self,
        name: str,
        backend: Source = None,
        *,
        jobs: Sequence[type[Job[Q]]] = (),
        lifespan: Callable[[], AbstractContextManager[Q] | AbstractAsyncContextManager[Q]],
        keep_failed: int = ...,
        keep_succeeded: int = ...,
        remember: Seconds = ...,
        max_payload: int = ...,
        logger: logging.Logger | None = ...,
        on_event: Listener | Sequence[Listener] = ...,
        **policy: Unpack[PolicyOptions],
    ) -> None: ...
    @overload
    def __init__(
        self,
        name: str,
        backend: Source = None,
        *,
        jobs: Sequence[type[Job[Q]]] = (),
        state: Q,
        keep_failed: int = ...,
        keep_succeeded: int = ...,
        remember: Seconds = ...,
        max_payload: int = ...,
        logger: logging.Logger | None = ...,
        on_event: Listener | Sequence[Listener] = ...,
        **policy: Unpack[PolicyOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Queue[None],
        name: str,
        backend: Source = None,
        *,
        jobs: Sequence[type[Job[None]]] = (),
        keep_failed: int = ...,
        keep_succeeded: int = ...,
        remember: Seconds = ...,
        max_payload: int = ...,
        logger: logging.Logger | None = ...,
        on_event: Listener | Sequence[Listener] = ...,
        **policy: Unpack[PolicyOptions],
    ) -> None: ...
    def __init__(
        self,
        name: str,
        backend: Source = None,
        *,
        jobs: Sequence[type[Job[Any]]] = (),
        state: Any = None,
        lifespan: Lifespan | None = None,
        keep_failed: int = 1000,
        keep_succeeded: int = 0,
        remember: Seconds = DAY,
        max_payload: int = MIB,
        logger: logging.Logger | None = None,
        on_event: Listener | Sequence[Listener] = (),
        **policy: Unpack[PolicyOptions],
    ) -> None:
        check_queue(name)
        self.name = name
        self.policy: Final = Policy(**policy)
        self.registry = Registry(name, self.policy)
        self.keep: Final = Keep(
            failed=_count("keep_failed", keep_failed), succeeded=_count("keep_succeeded", keep_succeeded)
        )
        self.remember: Final = -(-microseconds("remember", remember) // 1_000_000)
        self.logger: Final = logger or logging.getLogger(f"jobcore.{name}")
        self.listeners: Final = (on_event,) if callable(on_event) else tuple(on_event)
        self._max_payload = _count("max_payload", max_payload)
        self._bindings = [Binding(backend, *_exclusive(state, lifespan))]
        self._teller = Teller(self.listeners)
        survive_forks(self)
        for cls in jobs:
            self.registry.add(cls)

    @property
    def binding(self) -> Binding:
        """Where jobs live, and what they are run with: the innermost `using`'s, else the queue's own."""
        return self._bindings[-1]

    @contextmanager
    def using(self, backend: Source, *, state: Any = _UNSET, lifespan: Lifespan | None = _UNSET) -> Iterator[Self]:
        """Replace the backend, and the state if one is given, for the whole process; for tests.

        Nests. Workers made inside keep what they began with; forked processes inherit it. At its end what it opened
        is closed, and a backend that it was given is not.

        Example:
            with queue.using("memory://", state=FakeMailer()):
                app.sign_up("a@b.c")
                assert queue.jobs() == [SendEmail("a@b.c")]
        """
        if state is _UNSET and lifespan is _UNSET:
            state, lifespan = self.binding.state, self.binding.lifespan
        given = (None if value is _UNSET else value for value in (state, lifespan))
        binding = Binding(backend, *_exclusive(*given))
        self._bindings.append(binding)
        try:
            yield self
        finally:
            self._bindings.remove(binding)
            binding.release()

    def close(self) -> None:
        """Free what this queue opened; any later verb raises QueueClosed. Closing twice is allowed."""
        for binding in reversed(self._bindings):
            binding.close()
        self._teller.close()

    def after_fork(self) -> None:
        """Begin anew in a forked child (called by Python)."""
        self._teller = Teller(self.listeners)

    @overload
    def job(self, job: J, /) -> J: ...  # type: ignore[overload-overlap]  # a class is callable too: the first one wins
    @overload
    def job(self, job: Callable[P, R], /) -> FunctionJob[P, R]: ...
    @overload
    def job(
        self, job: None = None, /, *, context: Literal[True], **options: Unpack[JobOptions]
    ) -> Callable[[Callable[Concatenate[JobContext[Q], P], R]], FunctionJob[P, R]]: ...
    @overload
    def job(self, job: None = None, /, **options: Unpack[JobOptions]) -> Register: ...
    def job(self, job: Any = None, /, *, context: bool = False, **options: Unpack[JobOptions]) -> Any:
        """Make a class or a function a job of this queue; with or without options.

        Args:
            job: a `Job` class, which is returned as it is, or a function, which becomes a `FunctionJob`.
            context: a function's first parameter takes the `JobContext`.
            options: `name`, `aliases` and policy, for what the class itself does not say.

        Raises:
            RegistrationError: it can't be stored or run, or its name is taken; the message says what to do.
        """
        if job is None:
            return lambda job: self._register(job, options, context=context)
        return self._register(job, options, context=context)

    def enqueue(
        self,
        job: Job[Q],
        *,
        delay: Seconds | None = None,
        run_at: datetime | None = None,
        priority: int = 0,
        id: str | None = None,
        connection: Any = None,
    ) -> str:
        """Store a job; once this has returned, it is not lost.

        Args:
            job: of a class or function that is registered here.
            delay: seconds from the store's now, or a timedelta; excludes `run_at`.
            run_at: an aware datetime before which it is not run.
            priority: -100 to 100, higher first.
            id: 1 to 200 bytes of text; if a job has it, or had it in the last `remember` seconds, nothing is stored.
            connection: push in this open transaction; the answer stands once it commits.

        Returns:
            The job's id.

        Raises:
            UnknownJob: its class is not registered here.
            InvalidArgument: an argument is out of range, or the job would not come back as it is.
            Unavailable: the store could not be reached, in two tries; nothing was stored.
            Refused: the store said no; nothing was stored.
            EnqueueUncertain: it can't be known whether the store took it.
        """
        return self._send([self._push(job, due(delay, run_at), priority, id)], connection)[0].id

    def enqueue_many(
        self,
        jobs: Iterable[Job[Q]],
        *,
        delay: Seconds | None = None,
        run_at: datetime | None = None,
        priority: int = 0,
        ids: Sequence[str] | None = None,
        connection: Any = None,
    ) -> list[Pushed]:
        """Store jobs in one round trip, all or none; as `enqueue`, with an id for each job or none.

        Returns:
            For each job its id, whether this call stored it, and the state that it is in.
        """
        return self._send(self._pushes(jobs, due(delay, run_at), priority, ids), connection)

    def enqueue_named(
        self,
        name: str,
        args: Mapping[str, Any],
        *,
        delay: Seconds | None = None,
        run_at: datetime | None = None,
        priority: int = 0,
        id: str | None = None,
        connection: Any = None,
    ) -> str:
        """Store a job by its name, without its class; as `enqueue`.

        Args:
            name: the job's name. If it is registered here, its `args` must fit.
            args: the job's fields, of what JSON has or msgspec encodes.
            delay: as in `enqueue`.
            run_at: as in `enqueue`.
            priority: as in `enqueue`.
            id: as in `enqueue`.
            connection: as in `enqueue`.
        """
        push = self._stored(self._named(name, args), due(delay, run_at), priority, id)
        return self._send([push], connection)[0].id

    async def aenqueue(
        self,
        job: Job[Q],
        *,
        delay: Seconds | None = None,
        run_at: datetime | None = None,
        priority: int = 0,
        id: str | None = None,
        connection: Any = None,
    ) -> str:
        """As `enqueue`, without blocking the event loop; concurrent calls share round trips.

        A call that is cancelled may have stored its job. `connection` is an async connection or session here.
        """
        return (await self._asend([self._push(job, due(delay, run_at), priority, id)], connection))[0].id

    async def aenqueue_many(
        self,
        jobs: Iterable[Job[Q]],
        *,
        delay: Seconds | None = None,
        run_at: datetime | None = None,
        priority: int = 0,
        ids: Sequence[str] | None = None,
        connection: Any = None,
    ) -> list[Pushed]:
        """As `enqueue_many`, without blocking the event loop."""
        return await self._asend(self._pushes(jobs, due(delay, run_at), priority, ids), connection)

    def __repr__(self) -> str:
        return f"<Queue {self.name!r}>"

    def _register(self, job: Any, options: JobOptions, *, context: bool) -> Any:
        if isinstance(job, type):
            if context:
                raise RegistrationError(f"{job.__name__}: context=True is for functions; give run a third parameter")
            self.registry.add(job, options)
            return job
        calls, run = calls_of(job, context=context)
        self.registry.add(calls, options, run)
        return FunctionJob(job, calls, self)

    def _push(self, job: object, when: tuple[int, int | None], priority: int, id: str | None) -> Push:
        return self._stored(self.registry.type_of(job).encode(job), when, priority, id)

    def _pushes(
        self, jobs: Iterable[object], when: tuple[int, int | None], priority: int, ids: Sequence[str] | None
    ) -> list[Push]:
        jobs = list(jobs)
        if isinstance(ids, str) or (ids is not None and len(ids) != len(jobs)):
            raise InvalidArgument(f"ids is a list with one id for each of the {len(jobs)} jobs")
        return [self._push(job, when, priority, id) for job, id in zip(jobs, ids or repeat(None), strict=False)]

    def _stored(self, payload: bytes, when: tuple[int, int | None], priority: int, id: str | None) -> Push:
        if len(payload) > self._max_payload:
            raise InvalidArgument(
                f"{name_in(payload)} is {len(payload)} bytes as JSON; queue {self.name!r} takes {self._max_payload}: "
                "store what is large elsewhere and enqueue where it is, or set max_payload"
            )
        made_up, remember = (new_id(), 0) if id is None else (id, self.remember)
        return Push(made_up, payload, priority, *when, remember)

    def _named(self, name: str, args: Mapping[str, Any]) -> bytes:
        check_name(name)
        try:
            payload = envelope(name, msgspec.json.encode(dict(args)))
        except (TypeError, ValueError) as error:
            raise InvalidArgument(f"the args of {name} can't be stored: {error}") from error
        if name in self.registry:
            job_type, raw = self.registry.open(payload)
            try:
                job_type.decode(raw)
            except Undecodable as error:
                raise InvalidArgument(error.reason) from None
        return payload

    def _send(self, pushes: list[Push], connection: Any) -> list[Pushed]:
        if connection is None:
            pushed = push_surely(self.backend, self.name, pushes)
        else:
            try:
                pushed = _joining(self.backend).join(connection, self.name, pushes)
            except Uncertain as error:
                raise uncertain(pushes) from error
        self._tell(pushes, pushed)
        return pushed

    async def _asend(self, pushes: list[Push], connection: Any) -> list[Pushed]:
        check_push(self.name, pushes)  # before they join others in a batch
        if connection is None:
            pushed = await self.binding.coalescer.push(self.name, pushes)
        else:
            backend = await asyncio.to_thread(lambda: self.backend)  # the first use opens it, which may take its time
            try:
                pushed = await _joining(backend).ajoin(connection, self.name, pushes)
            except Uncertain as error:
                raise uncertain(pushes) from error
        self._tell(pushes, pushed)
        return pushed

    def _tell(self, pushes: Iterable[Push], pushed: Iterable[Pushed]) -> None:
        if not self._teller:
            return
        now = time.time()
        self._teller.tell(
            [
                Event(Kind.PUSHED if it.created else Kind.DUPLICATE, self.name, it.id, name_in(push.payload), now)
                for push, it in zip(pushes, pushed, strict=True)
            ]
        )


def _joining(backend: object) -> Joins:
    if not isinstance(backend, Joins):
        raise ConfigurationError(
            f"{type(backend).__name__} can't push in a transaction of the caller's: leave out connection=, "
            "or use a backend that can, such as postgresql://"
        )
    return backend


def _exclusive(state: Any, lifespan: Lifespan | None) -> tuple[Any, Lifespan | None]:
    if state is not None and lifespan is not None:
        raise ConfigurationError("state and lifespan exclude each other: what the lifespan gives is the state")
    if lifespan is not None and not callable(lifespan):
        raise ConfigurationError(f"lifespan is a function that makes a context manager, not {type(lifespan).__name__}")
    return state, lifespan


def _count(what: str, number: int) -> int:
    if type(number) is not int or number < 0:
        raise InvalidArgument(f"{what} is a whole number from 0 on, not {number!r}")
    return number
