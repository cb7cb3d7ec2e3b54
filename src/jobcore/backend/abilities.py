"""What a store may offer beside the twelve verbs: small protocols, asked for by `isinstance`, never flags."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Protocol, runtime_checkable

from jobcore.backend.findings import Finding
from jobcore.backend.values import Answer, Hold, Keep, Push, Pushed, Succeed


@runtime_checkable
class Wakes(Protocol):
    """A store that can tell of due jobs without being asked again and again (13).

    A backend whose `wait` only looks at intervals, perhaps as it was told to, says so by a true attribute `polls`.
    """

    def wait(self, queues: Collection[str], timeout: float) -> set[str]:
        """Block up to `timeout` seconds, at most 1, until a job may be ready; return the queues to look at.

        May return early or for nothing. A job that became ready wakes at least one waiter.
        """
        ...


@runtime_checkable
class Joins(Protocol):
    """A store that can push within a transaction of the caller's; the answer stands once that commits."""

    def join(self, connection: Any, queue: str, pushes: Sequence[Push]) -> list[Pushed]:
        """`push` in the open transaction of `connection`."""
        ...

    async def ajoin(self, connection: Any, queue: str, pushes: Sequence[Push]) -> list[Pushed]:
        """`push` in the open transaction of an async connection or session."""
        ...


class Transaction(Protocol):
    """A transaction for one running job to write in. It holds nothing of the queue before `commit`, which ends it."""

    @property
    def connection(self) -> Any:
        """The client library's connection, in the open transaction."""
        ...

    def commit(self, hold: Hold, outcome: Succeed, keep: Keep) -> Answer:
        """DONE: the token was current, and the success and all that was written stand together (4, 9).

        LOST: it was not, and nothing was written. What raises has written nothing either; but after `Uncertain` it
        may have, and settling the hold tells: DONE, it had not. After `Conflict` the same work may be done again.
        """
        ...

    def rollback(self) -> None:
        """Undo all that was written. Raises nothing."""
        ...


@runtime_checkable
class Transacts(Protocol):
    """A store in which a job can write, so that its writes and its success are one."""

    def transact(self, queue: str, timeout: int | None = None) -> Transaction:
        """Begin a transaction, whose statements may take `timeout` microseconds each (None: as long as they take)."""
        ...


@runtime_checkable
class Diagnoses(Protocol):
    """A store that can say what it guarantees as it is set up. Both verbs only look, and are cheap at any depth."""

    def diagnose(self) -> list[Finding]:
        """What the store keeps, what it may lose and when, and what is amiss; what can't be known is said to be so."""
        ...

    def queues(self) -> list[str]:
        """The names of the queues that hold jobs, in order."""
        ...


@runtime_checkable
class Makes(Protocol):
    """A store in which a file or tables have to be made before it can hold jobs: the first push does that."""

    def unmade(self) -> str | None:
        """What is still to be made, as in `there is no file /srv/jobs.db yet`; None once it is there. Makes nothing."""
        ...


@runtime_checkable
class Confined(Protocol):
    """A store that other processes can't see, and that is gone with its own."""

    def confined(self) -> str:
        """What it is kept in, as in `the memory of one process`."""
        ...


@runtime_checkable
class Migrates(Protocol):
    """A store with tables that are made in numbered steps: by itself at its first use, or by their owner before."""

    def missing(self) -> list[str]:
        """The steps that are still to be taken, in order, each as `4 reading`. Changes nothing."""
        ...

    def migrate(self) -> list[str]:
        """Take these steps, all or none, however long that lasts; returns those that were taken."""
        ...

    def script(self, since: int | None = None) -> str:
        """What `migrate` does, as text for the store's own client.

        Args:
            since: the number of a step, of which all that follow are written out (0: all); the store is not asked.
                None: those that are missing.
        """
        ...
