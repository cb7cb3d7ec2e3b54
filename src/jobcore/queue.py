"""Queues: where a program declares its jobs and hands them in."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from typing import (
    Any,
    Concatenate,
    Final,
    Literal,
    ParamSpec,
    Protocol,
    Self,
    TypeVar,
    Unpack,
    cast,
    get_origin,
    overload,
)

from jobcore.backend import Keep, check_queue
from jobcore.backend.options import hint
from jobcore.binding import Binding, Lifespan, Source
from jobcore.codec import Registry
from jobcore.enqueuing import Enqueuing, Q
from jobcore.errors import ConfigurationError, InvalidArgument, RegistrationError
from jobcore.events import Listener, Teller
from jobcore.forks import survive_forks
from jobcore.functions import FunctionJob, calls_of
from jobcore.job import Job, JobContext, JobOptions, Policy, PolicyOptions, Seconds
from jobcore.pushing import microseconds

P = ParamSpec("P")
R = TypeVar("R")
J = TypeVar("J", bound="type[Job[Any]]")

MIB: Final = 1 << 20
DAY: Final = 86400
_UNSET: Final = cast("Any", object())


class QueueOptions(PolicyOptions, total=False):
    """What all forms of `Queue(…)` take; told there."""

    keep_failed: int
    keep_succeeded: int
    remember: Seconds
    max_payload: int
    logger: logging.Logger | None
    on_event: Listener | Sequence[Listener]


class Register(Protocol):
    """What `queue.job(**policy)` gives: a decorator for classes and functions."""

    @overload
    def __call__(self, job: J, /) -> J: ...  # type: ignore[overload-overlap]  # a class is callable too: first wins
    @overload
    def __call__(self, job: Callable[P, R], /) -> FunctionJob[P, R]: ...


class Queue(Enqueuing[Q]):
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
        **options: Unpack[QueueOptions],
    ) -> None: ...
    @overload
    def __init__(
        self,
        name: str,
        backend: Source = None,
        *,
        jobs: Sequence[type[Job[Q]]] = (),
        state: Q,
        **options: Unpack[QueueOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Queue[None],
        name: str,
        backend: Source = None,
        *,
        jobs: Sequence[type[Job[None]]] = (),
        **options: Unpack[QueueOptions],
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
        for option in policy.keys() - PolicyOptions.__annotations__.keys():
            raise InvalidArgument(f"a queue has no option {option!r}: {hint(option, QueueOptions.__annotations__)}")
        self.policy: Final = Policy(**policy)
        self.registry = Registry(name, self.policy)
        self.keep: Final = Keep(
            failed=_count("keep_failed", keep_failed), succeeded=_count("keep_succeeded", keep_succeeded)
        )
        self.remember = -(-microseconds("remember", remember) // 1_000_000)
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

    def __repr__(self) -> str:
        return f"<Queue {self.name!r}>"

    def _register(self, job: Any, options: JobOptions, *, context: bool) -> Any:
        if isinstance(job, type) or get_origin(job) is not None:
            if context:
                raise RegistrationError(f"{job.__name__}: context=True is for functions; give run a third parameter")
            self.registry.add(job, options)
            return job
        calls, run = calls_of(job, context=context)
        self.registry.add(calls, options, run)
        return FunctionJob(job, calls, self)


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
