"""From a job to the bytes that are stored, and back: `{"job": NAME, "args": {…}}`.

The wire format is strict JSON, described in docs/jobs.md so that any language can produce jobs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, final

import msgspec

from jobcore.calls import Call, Run, run_of
from jobcore.declared import Upgrade, declared
from jobcore.errors import InvalidArgument, RegistrationError, UnknownJob
from jobcore.job import Job, JobOptions, Policy
from jobcore.shapes import Shape, shape_of

_SHOWN: Final = 80  # characters of a value that an error repeats


class Undecodable(Exception):
    """A payload that can't become a job here: a verdict, which its catcher settles as BROKEN.

    Attributes:
        reason: what is wrong, naming the job and, where there is one, the field.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    job: str
    args: msgspec.Raw


_ENVELOPES: Final = msgspec.json.Decoder(_Envelope)


@final
@dataclass(frozen=True, slots=True, eq=False)
class JobType:
    """One registered kind of job.

    Attributes:
        name: what it is stored under.
        aliases: names that it was stored under before; they are still decoded.
        policy: of the class, else of the decorator, else of the queue.
        cls: the class whose instances are its jobs.
        is_async: whether running it gives a coroutine.
        call: runs a job with as many of state and context as it takes; what it returns may be awaitable.
        shape: how its fields are stored.
        upgrade: makes today's `args` of older ones, if the class knows how.
    """

    name: str
    aliases: tuple[str, ...]
    policy: Policy
    cls: type
    is_async: bool
    call: Call = field(repr=False)
    shape: Shape = field(repr=False)
    upgrade: Upgrade | None = field(repr=False)

    def encode(self, job: object) -> bytes:
        """The whole payload of a job, once it is sure that it comes back equal.

        Raises:
            InvalidArgument: it holds something that can't be stored, or would come back as something else.
        """
        try:
            args = self.shape.encode(job)
            again = self.shape.decode(args)
            same = self.shape.same(job, again)
        except Exception as error:
            raise InvalidArgument(f"{self.name} can't be stored: {_said(error)}") from error
        if not same:
            raise InvalidArgument(f"{self.name} would not come back as it is: {self._difference(job, again)}")
        return envelope(self.name, args)

    def decode(self, args: bytes | msgspec.Raw) -> object:
        """A job from its `args`, by its class's `upgrade` where they are of an older form.

        Raises:
            Undecodable: they don't fit the class; the reason names the field.
        """
        try:
            return self.shape.decode(args)
        except Exception as error:  # noqa: BLE001 -- also what a validator of the user's raises
            if self.upgrade is None:
                raise Undecodable(f"{self.name}: {_said(error)}") from None
            return self._upgraded(self.upgrade, args)

    def _upgraded(self, upgrade: Upgrade, args: bytes | msgspec.Raw) -> object:
        try:
            older = msgspec.json.decode(args, type=dict[str, Any])
            return self.shape.decode(msgspec.json.encode(upgrade(older)))
        except Exception as error:  # noqa: BLE001 -- `upgrade` is the user's
            raise Undecodable(f"{self.name}, upgraded: {_said(error)}") from None

    def _difference(self, job: object, again: object) -> str:
        for name in self.shape.fields:
            before, after = getattr(job, name), getattr(again, name)
            if before != after:
                return f"{name}={_short(before)} would be {_short(after)}"
        return f"{_short(job)} would be {_short(again)}"


class Registry:
    """The job types of one queue.

    Args:
        queue: the queue's name, for messages.
        defaults: the policy of jobs that say nothing else.
    """

    def __init__(self, queue: str, defaults: Policy | None = None) -> None:
        self._queue = queue
        self._defaults = defaults or Policy()
        self._by_name: dict[str, JobType] = {}
        self._by_class: dict[type, JobType] = {}

    def __iter__(self) -> Iterator[JobType]:
        return iter(self._by_class.values())

    def add(self, cls: type, options: JobOptions | None = None, run: Run | None = None) -> JobType:
        """Register a class, after looking at all of its fields, its `run` and its policy.

        Args:
            cls: the class of the jobs.
            options: names and policy; what the class itself says goes before them.
            run: how its jobs are run, if not by its method `run`.

        Raises:
            RegistrationError: it can't be stored or run, or a name is taken; the message says what to do.
        """
        shape = shape_of(cls)
        said = declared(cls, shape.fields, options or {}, self._defaults)
        for name in (said.name, *said.aliases):
            self._check_free(cls, name)
        call, is_async = run or run_of(cls, shape.fields)
        added = JobType(said.name, said.aliases, said.policy, cls, is_async, call, shape, said.upgrade)
        self._by_class[cls] = added
        self._by_name.update(dict.fromkeys((said.name, *said.aliases), added))
        return added

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def open(self, payload: bytes) -> tuple[JobType, msgspec.Raw]:
        """Read a payload's envelope: its type, and its `args` as they stand.

        Raises:
            Undecodable: it is no envelope, or of a job that is unknown here.
        """
        try:
            envelope = _ENVELOPES.decode(payload)
            return self._by_name[envelope.job], envelope.args
        except KeyError as error:
            raise Undecodable(self._unknown(f"{error.args[0]!r}")) from None
        except (ValueError, RecursionError) as error:
            raise Undecodable(f"not a job's JSON: {_said(error)}") from None

    def type_of(self, job: object) -> JobType:
        """The type of a job.

        Raises:
            UnknownJob: its class is not registered here.
        """
        try:
            return self._by_class[type(job)]
        except KeyError:
            raise UnknownJob(self._unknown(_what(job))) from None

    def named(self, name: str) -> JobType:
        """The type of a name or alias.

        Raises:
            UnknownJob: none is registered under it.
        """
        try:
            return self._by_name[name]
        except KeyError:
            raise UnknownJob(self._unknown(repr(name))) from None

    def _unknown(self, what: str) -> str:
        known = ", ".join(sorted(each.name for each in self._by_class.values())) or "none yet"
        return f"queue {self._queue!r} has no job {what[:_SHOWN]}; it has: {known}"

    def _check_free(self, cls: type, name: str) -> None:
        if name in self._by_name:
            raise RegistrationError(
                f"{cls.__name__}: queue {self._queue!r} has a job named {name!r} already; give this one another name"
            )


def envelope(name: str, args: bytes) -> bytes:
    """The payload of a job: its name, and its fields as a JSON object."""
    return _head(name) + args + b"}"


@lru_cache(1024)
def _head(name: str) -> bytes:
    return b'{"job":"%b","args":' % name.encode()


def name_in(payload: bytes) -> str:
    """The job's name in a payload that was made here."""
    return _ENVELOPES.decode(payload).job


def _what(job: object) -> str:
    """How a message calls what is no known job, with a hint where it is a common slip."""
    if isinstance(job, type):
        return f"{job.__name__} as a class: enqueue an instance, {job.__name__}(…)"
    if callable(job) and not isinstance(job, Job):
        return f"{getattr(job, '__name__', job)!s} as a function: enqueue its .job(…)"
    return type(job).__name__


def _said(error: Exception) -> str:
    """What an error says, with its kind where it isn't the decoder's own; in one line, as it is logged."""
    text = str(error) if isinstance(error, msgspec.MsgspecError) else f"{type(error).__name__}: {error}"
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text[:1000])[:1000]


def _short(value: object) -> str:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 -- a user's __repr__; the message matters more
        text = f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
