"""Handing jobs in: one by one or many, by class or by name, blocking or awaited, each in one round trip."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence, Sized
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic

import msgspec

from jobcore.backend import Joins, Push, Pushed, check_push
from jobcore.codec import Undecodable, envelope, name_in
from jobcore.declared import check_name
from jobcore.errors import ConfigurationError, InvalidArgument, Uncertain
from jobcore.events import Event, Kind, Teller
from jobcore.job import Job, Seconds
from jobcore.operations import Operations
from jobcore.pushing import due, new_ids, push_surely, uncertain

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    Q = TypeVar("Q", default=None)
else:
    from typing import TypeVar

    Q = TypeVar("Q")


class Enqueuing(Operations, Generic[Q]):
    """What a program hands its jobs in by; `Queue` has all of it."""

    remember: int
    _max_payload: int
    _teller: Teller

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
            Unavailable: the store could not be reached; nothing was stored.
            Refused: the store said no; nothing was stored.
            EnqueueUncertain: it can't be known whether the store took it.
        """
        return self._send(self._pushes([job], due(delay, run_at), priority, _alone(id)), connection)[0].id

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
        pushes = self._stored([self._named(name, args)], due(delay, run_at), priority, _alone(id))
        return self._send(pushes, connection)[0].id

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
        return (await self._asend(self._pushes([job], due(delay, run_at), priority, _alone(id)), connection))[0].id

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

    def _pushes(
        self, jobs: Iterable[object], when: tuple[int, int | None], priority: int, ids: Sequence[str] | None
    ) -> list[Push]:
        type_of = self.registry.type_of
        return self._stored([type_of(job).encode(job) for job in jobs], when, priority, ids)

    def _stored(
        self, payloads: Sequence[bytes], when: tuple[int, int | None], priority: int, ids: Sequence[str] | None
    ) -> list[Push]:
        """What stores these payloads under these ids, or under made-up ones, which need not be remembered."""
        if ids is not None and not _one_each(ids, len(payloads)):
            raise InvalidArgument(f"ids is a list with one id for each of the {len(payloads)} jobs")
        for payload in payloads:
            if len(payload) > self._max_payload:
                raise self._too_large(payload)
        names, remember = (new_ids(len(payloads)), 0) if ids is None else (ids, self.remember)
        return [Push(id, payload, priority, *when, remember) for id, payload in zip(names, payloads, strict=True)]

    def _too_large(self, payload: bytes) -> InvalidArgument:
        return InvalidArgument(
            f"{name_in(payload)} is {len(payload)} bytes as JSON; queue {self.name!r} takes {self._max_payload}: "
            "store what is large elsewhere and enqueue where it is, or set max_payload"
        )

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
                raise uncertain(pushes, error) from error
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
                raise uncertain(pushes, error) from error
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


def _alone(id: str | None) -> list[str] | None:
    """The ids of one job."""
    return None if id is None else [id]


def _one_each(ids: object, jobs: int) -> bool:
    return isinstance(ids, Sized) and not isinstance(ids, str) and len(ids) == jobs


def _joining(backend: object) -> Joins:
    if not isinstance(backend, Joins):
        raise ConfigurationError(
            f"{type(backend).__name__} can't push in a transaction of the caller's: leave out connection=, "
            "or use a backend that can, such as postgresql://"
        )
    return backend
