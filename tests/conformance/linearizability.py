"""Is there an order in which calls that overlapped make sense?

A history is linearizable (Herlihy and Wing, "Linearizability: A Correctness Condition for Concurrent Objects",
TOPLAS 1990) if each call can be given one moment between its beginning and its end so that, had the calls been made one
after another at these moments, they would have had the same answers. What holds for each job apart holds for all jobs
together, so each is looked at alone, and the search stays small.

The search is Wing and Gong's ("Testing and Verifying Concurrent Objects", JPDC 1993) with Lowe's two improvements
("Testing for Linearizability", CCPE 2017): what was reached before is not tried again, and calls take effect as late as
they can: when an answer has to be explained. Knossos and Porcupine search in the same ways.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Final, Generic, NamedTuple, TypeAlias, TypeVar

from jobcore.conformance.history import Operation
from jobcore.conformance.shortening import Tries, shortened

TRIES: Final = 100
"""How often fewer operations are tried."""

S = TypeVar("S", bound=Hashable)
After: TypeAlias = Callable[[S, Operation], Iterable[S]]
"""The states that an operation can lead to from one state with the answer that it had; none: it can't have had it."""


class Unexplained(NamedTuple, Generic[S]):
    """The first answer that no order explains.

    Attributes:
        operation: the one that was so answered.
        states: those that its object can have been in while it was made.
        before: the operations that began before it ended, since it was last certain what the state was.
        since: what it was then.
    """

    operation: Operation
    states: frozenset[S]
    before: Sequence[Operation]
    since: S


def first_unexplained(history: Sequence[Operation], begin: S, after: After[S]) -> Unexplained[S] | None:
    """The first answer, by the end of its call, that no order explains; None if the history is linearizable.

    Args:
        history: the operations on one object, in any order.
        begin: the object's state before all of them.
        after: what they do to it. It may allow for several states, where an answer does not tell.
    """
    search = _Search(history, begin, after)
    for _, is_return, number in sorted(_events(history)):
        if not is_return:
            search.open.append(number)
        elif not search.explain(number):
            return search.failure(number)
    return None


def shortest(found: Unexplained[S], after: After[S], looks: Callable[[Operation], bool]) -> Unexplained[S]:
    """The same answer, with no more before it than makes it inexplicable.

    Args:
        found: what to tell with less.
        after: what operations do.
        looks: whether an operation, as it was answered, has changed nothing. What has changed something may be what
            explains the answer, and stays.
    """
    needed = [one for one in found.before if one is found.operation or not looks(one)]
    shorter = [found]

    def fails(kept: Sequence[Operation]) -> bool:
        again = first_unexplained([*needed, *kept], found.since, after)
        if same := again is not None and again.operation is found.operation:
            shorter.append(again)
        return same

    shortened([one for one in found.before if one not in needed], Tries(fails, TRIES))
    return shorter[-1]


def _events(history: Sequence[Operation]) -> Iterator[tuple[int, bool, int]]:
    """All beginnings and ends. Of two at one time the beginning is first: what may overlap, may."""
    for number, operation in enumerate(history):
        yield operation.invoked, False, number
        if operation.returned is not None:
            yield operation.returned, True, number


class _Search(Generic[S]):
    """All that can have happened so far.

    Attributes:
        open: the numbers of operations that have begun and not ended.
    """

    def __init__(self, history: Sequence[Operation], begin: S, after: After[S]) -> None:
        self._history = history
        self._after = after
        self.open: list[int] = []
        # What can be: a state, and in bits which of the open operations have had their effect.
        self._possible: set[tuple[S, int]] = {(begin, 0)}
        self._certain, self._since = begin, 0

    def explain(self, number: int) -> bool:
        """Go on to the end of an operation: by then it has had its effect. False: it can't have had any."""
        reached = {(state, done ^ 1 << number) for state, done in self._reach(number) if done >> number & 1}
        if not reached:
            return False
        self.open.remove(number)
        self._possible = reached
        if not self.open and len(reached) == 1:
            ((self._certain, _),) = reached
            self._since = self._history[number].returned or 0
        return True

    def failure(self, number: int) -> Unexplained[S]:
        """What to say of an operation that can't be explained."""
        operation = self._history[number]
        end = operation.returned or 0
        before = [one for one in self._history if (one.returned or end) > self._since and one.invoked <= end]
        states = frozenset(state for state, _ in self._reach(number))
        return Unexplained(operation, states, before, self._certain)

    def _reach(self, number: int) -> set[tuple[S, int]]:
        """What open operations can lead to; where `number` has had its effect, the others can wait."""
        reached, todo = set(self._possible), [*self._possible]
        while todo:
            state, done = todo.pop()
            if done >> number & 1:
                continue
            found = {
                (later, done | 1 << other)
                for other in self.open
                if not done >> other & 1
                for later in self._after(state, self._history[other])
            }
            todo += found - reached
            reached |= found
        return reached
