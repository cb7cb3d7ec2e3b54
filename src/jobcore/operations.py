"""Looking at a queue, and operating on it: each verb asks the store, and remembers nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from heapq import merge
from itertools import islice
from typing import Any, Final

from jobcore.backend import Answer, Backend, Counts, Entry, Page, State
from jobcore.binding import Binding
from jobcore.codec import Registry, Undecodable
from jobcore.errors import InvalidArgument

_PAGE: Final = 500  # entries that are fetched at a time
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Operations:
    """What is asked of a queue's store by people and tests; `Queue` has all of it.

    Listings give the jobs themselves; what does not decode here is passed over, and seen by `entries`.
    All verbs raise BackendError when the store can't answer, and QueueClosed after `close`.
    """

    name: str
    registry: Registry

    @property
    def binding(self) -> Binding:
        """Where jobs live, and what they are run with, at this moment."""
        raise NotImplementedError

    @property
    def backend(self) -> Backend:
        """The store, opened if it is not yet; raises ConfigurationError and QueueClosed."""
        return self.binding.backend

    def jobs(self, limit: int | None = None) -> list[Any]:
        """The jobs that are ready, in the order in which they would run; the first `limit`, or all."""
        return self._decoded(self._listing(State.READY), limit)

    def running(self, limit: int | None = None) -> list[Any]:
        """The jobs that are being run, in the order of their start."""
        return self._decoded(self._listing(State.RUNNING), limit)

    def failed(self, limit: int | None = None) -> list[Any]:
        """The jobs that have failed or timed out, the newest first."""
        listings = self._listing(State.FAILED), self._listing(State.TIMED_OUT)
        return self._decoded(merge(*listings, key=lambda entry: -(entry.finished_at or 0)), limit)

    def broken(self, limit: int | None = None) -> list[tuple[bytes, datetime]]:
        """What could not be decoded: the bytes, and since when; the newest first."""
        return [(entry.payload, _moment(entry.finished_at)) for entry in islice(self._listing(State.BROKEN), limit)]

    def counts(self) -> Counts:
        """How many jobs are in each state."""
        return self.backend.counts(self.name)

    def find(self, id: str) -> Entry | None:
        """All that is known of one job; None if it is not in the store."""
        return self.backend.get(self.name, [id])[0]

    def entries(self, state: State | str, limit: int = 100, after: str | None = None) -> Page:
        """A page of the jobs in a state, with all that is known of them.

        Args:
            state: as `State`, or its value, such as "timed_out".
            limit: how many at the most.
            after: the `next` of the page before.

        Raises:
            InvalidArgument: there is no such state, or the limit is below 1.
        """
        try:
            return self.backend.peek(self.name, State(state), limit, after)
        except ValueError as error:
            if isinstance(error, InvalidArgument):
                raise
            raise InvalidArgument(f"a state is one of {', '.join(State)}, not {state!r}") from None

    def redrive(self, ids: Iterable[str]) -> list[Answer]:
        """Make failed, timed out or broken jobs ready again: DONE, WRONG_STATE or MISSING for each."""
        return self.backend.redrive(self.name, _listed(ids))

    def remove(self, ids: Iterable[str]) -> list[Answer]:
        """Take jobs out of the store, unless they are running: DONE, WRONG_STATE or MISSING for each."""
        return self.backend.remove(self.name, _listed(ids))

    def destroy(self) -> None:
        """Remove everything of this queue at once: jobs in any state, and remembered ids."""
        self.backend.destroy(self.name)

    def _listing(self, state: State) -> Iterator[Entry]:
        after = None
        while True:
            page = self.backend.peek(self.name, state, _PAGE, after)
            yield from page.entries
            after = page.next
            if after is None:
                return

    def _decoded(self, entries: Iterable[Entry], limit: int | None) -> list[Any]:
        return list(islice((job for entry in entries for job in self._decode(entry)), limit))

    def _decode(self, entry: Entry) -> Iterator[object]:
        try:
            job_type, args = self.registry.open(entry.payload)
            yield job_type.decode(args)
        except Undecodable:
            return


def _listed(ids: Iterable[str]) -> list[str]:
    if isinstance(ids, str):
        raise InvalidArgument(f"ids is a list of ids: write [{ids!r}]")
    return list(ids)


def _moment(time: int | None) -> datetime:
    return _EPOCH + timedelta(microseconds=time or 0)
