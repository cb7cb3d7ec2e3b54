"""Everything that jobcore raises, in one hierarchy."""

from __future__ import annotations

from collections.abc import Sequence


class JobcoreError(Exception):
    """The base of all errors that jobcore raises."""


class InvalidArgument(JobcoreError, ValueError):
    """An argument has the wrong form; nothing was stored, nothing changed."""


class ConfigurationError(JobcoreError):
    """A URL, an option or an installation is wrong: no backend can be opened with it."""


class RegistrationError(JobcoreError, TypeError):
    """A job type cannot be stored or run; the message names the class and the field."""


class UnknownJob(JobcoreError, LookupError):
    """The queue has no job of that name or type."""


class QueueClosed(JobcoreError, RuntimeError):
    """The queue or backend was closed before this call."""


class BackendError(JobcoreError):
    """The store did not do what it was asked to; see the subclasses for what is known."""


class Unavailable(BackendError):
    """The store could not be reached: the call was not carried out."""


class Refused(BackendError):
    """The store answered with an error (out of memory, read-only, no permission): not carried out."""


class Conflict(Refused):
    """The store rolled it back, as it and another transaction stood in each other's way: done again, it may succeed."""


class Uncertain(BackendError):
    """The call was sent and no answer came: it may or may not have been carried out."""


class EnqueueUncertain(JobcoreError):
    """It is not known whether the store took these jobs.

    Enqueuing again with the same ids does no harm: what is stored is not stored twice. Only a job that has run by then,
    under an id that was made up, runs once more.

    Attributes:
        ids: the ids under which the jobs were sent.
    """

    def __init__(self, message: str, ids: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.ids = tuple(ids)

    def __reduce__(self) -> tuple[type[EnqueueUncertain], tuple[str, tuple[str, ...]]]:
        return type(self), (str(self), self.ids)
