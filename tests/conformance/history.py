"""What clients did at the same time: each call's answers, split by job, with the times between which they were made."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any, Final

from msgspec import Struct

from jobcore.backend import Answer, Backend, Claim, Entry, Hold, Keep, Outcome, Push, Pushed, Uncertain


class Silence(Enum):
    """In place of an answer that did not come: the call may have been carried out, or not."""

    UNANSWERED = "no answer"


UNANSWERED: Final = Silence.UNANSWERED


class Operation(Struct, frozen=True):
    """What one call asked of one job, and was answered.

    Attributes:
        client: who called.
        job: the job's id.
        verb: a method of `Backend`.
        arguments: those behind the queue's name; of a batch, this job's item in its place.
        answer: what was said of the job, or UNANSWERED. A claim says nothing of jobs that it did not give.
        invoked: when the call began, in ns of the monotonic clock, which a machine's processes share.
        returned: when its answer was there; None if it never came: the call may yet be carried out.
    """

    client: str
    job: str
    verb: str
    arguments: tuple[Any, ...]
    answer: Any
    invoked: int
    returned: int | None


class Recording:
    """A client of one queue that writes down what it does.

    Args:
        backend: what makes the calls.
        queue: the queue.
        client: what it is called; its claims' holder, too.
        jobs: all ids there are: a claim without an answer may have taken any of them.
    """

    def __init__(self, backend: Backend, queue: str, client: str, jobs: Sequence[str]) -> None:
        self._backend = backend
        self._queue = queue
        self._jobs = jobs
        self.client = client
        self.operations: list[Operation] = []

    # `heard=False`: the answer is lost on its way, as with a connection that broke

    def push(self, pushes: Sequence[Push], *, heard: bool = True) -> list[Pushed]:
        """See `Backend.push`. What is not heard or not known is answered by nothing, here and below."""
        return self._batch("push", pushes, [push.id for push in pushes], heard=heard)

    def claim(
        self, limit: int, lease: int, call: bytes, max_bytes: int, *, holder: str | None = None, heard: bool = True
    ) -> list[Claim]:
        """See `Backend.claim`; the holder is this client unless given."""
        return self._take("claim", (limit, lease, holder or self.client, call, max_bytes), heard=heard)

    def reclaim(self, limit: int, lease: int, call: bytes, of: str | None, *, heard: bool = True) -> list[Claim]:
        """See `Backend.reclaim`."""
        return self._take("reclaim", (limit, lease, self.client, call, of), heard=heard)

    def extend(self, holds: Sequence[Hold], lease: int) -> list[Answer]:
        """See `Backend.extend`."""
        return self._batch("extend", holds, [hold.id for hold in holds], lease)

    def settle(self, settlements: Sequence[tuple[Hold, Outcome]], keep: Keep, *, heard: bool = True) -> list[Answer]:
        """See `Backend.settle`."""
        return self._batch("settle", settlements, [hold.id for hold, _ in settlements], keep, heard=heard)

    def get(self, ids: Sequence[str]) -> list[Entry | None]:
        """See `Backend.get`."""
        return self._batch("get", ids, ids)

    def redrive(self, ids: Sequence[str]) -> list[Answer]:
        """See `Backend.redrive`."""
        return self._batch("redrive", ids, ids)

    def remove(self, ids: Sequence[str]) -> list[Answer]:
        """See `Backend.remove`."""
        return self._batch("remove", ids, ids)

    def destroy(self) -> None:
        """See `Backend.destroy`."""
        _, invoked, returned = self._call("destroy", (), heard=True)
        self._note("destroy", [(job, (), None) for job in self._jobs], invoked, returned)

    def _batch(self, verb: str, items: Sequence[Any], jobs: Sequence[str], *rest: Any, heard: bool = True) -> list[Any]:
        answers, invoked, returned = self._call(verb, (items, *rest), heard=heard)
        told = [UNANSWERED] * len(items) if answers is UNANSWERED else answers
        asked = [(job, (item, *rest), answer) for job, item, answer in zip(jobs, items, told, strict=True)]
        self._note(verb, asked, invoked, returned)
        return [] if answers is UNANSWERED else answers

    def _take(self, verb: str, arguments: tuple[Any, ...], *, heard: bool) -> list[Claim]:
        answer, invoked, returned = self._call(verb, arguments, heard=heard)
        if answer is UNANSWERED:
            self._note(verb, [(job, arguments, UNANSWERED) for job in self._jobs], invoked, returned)
            return []
        claims: list[Claim] = answer.claims if verb == "claim" else answer
        self._note(verb, [(claim.id, arguments, claim) for claim in claims], invoked, returned)
        return claims

    def _call(self, verb: str, arguments: tuple[Any, ...], *, heard: bool) -> tuple[Any, int, int | None]:
        invoked = time.monotonic_ns()
        try:
            answer = getattr(self._backend, verb)(self._queue, *arguments)
        except Uncertain:
            return UNANSWERED, invoked, None
        return answer if heard else UNANSWERED, invoked, time.monotonic_ns()

    def _note(
        self, verb: str, asked: Iterable[tuple[str, tuple[Any, ...], Any]], invoked: int, returned: int | None
    ) -> None:
        self.operations += [
            Operation(self.client, job, verb, arguments, answer, invoked, returned) for job, arguments, answer in asked
        ]


def by_job(operations: Iterable[Operation]) -> dict[str, list[Operation]]:
    """A history split into one for each job."""
    split: dict[str, list[Operation]] = {}
    for operation in operations:
        split.setdefault(operation.job, []).append(operation)
    return split
