"""Those who wait, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Container
from heapq import heapify, heappop, heappush

from jobcore.backends.memory.job import Job

_Place = tuple[int, int, Job]


class Line:
    """The waiting jobs of one priority, by place and then by seq.

    Nearly all come in order and stand in a row, which costs the same however long it is; those that come in before
    others, or far ahead of their time, are kept in a heap.
    """

    def __init__(self) -> None:
        self._row: deque[_Place] = deque()
        self._others: list[_Place] = []

    def add(self, job: Job, now: int) -> None:
        """Have a job wait."""
        place = (job.place, job.seq, job)
        if job.place <= now and (not self._row or self._row[-1] < place):
            self._row.append(place)
        else:
            heappush(self._others, place)

    def first(self) -> Job | None:
        """Whose turn is next, whether or not its time has come; None if nobody waits."""
        source = self._source()
        return source[0][-1] if source else None

    def pop(self, now: int, max_bytes: int) -> Job | None:
        """Take the first out, if it is due and its payload no larger; None if not."""
        source = self._source()
        if not source or source[0][0] > now or len(source[0][-1].push.payload) > max_bytes:
            return None
        return self._row.popleft()[-1] if source is self._row else heappop(self._others)[-1]

    def drop(self, gone: Container[str]) -> None:
        """Take out the jobs of these ids."""
        self._row = deque(place for place in self._row if place[-1].push.id not in gone)
        self._others = [place for place in self._others if place[-1].push.id not in gone]
        heapify(self._others)

    def _source(self) -> deque[_Place] | list[_Place]:
        """Where the first one stands."""
        row, others = self._row, self._others
        return others if others and not (row and row[0] < others[0]) else row
