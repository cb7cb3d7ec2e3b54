"""The network between processes and the store: calls take time, are lost, come late, or find nobody."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import partial
from math import inf
from typing import Any, Final

from jobcore.backend import Backend, Claimed, Refused, Unavailable, Uncertain
from jobcore.conformance.simulation.stage import Life, Stage

LATENCIES: Final = (0.0001, 0.0002, 0.001, 0.02)
PATIENCE: Final = 0.1
"""Seconds for which an answer is waited for."""

VERBS: Final = ("claim", "settle", "extend", "reclaim", "push", "peek", "redrive")
"""What the loops and producers call."""


class Trouble(StrEnum):
    """What becomes of one call."""

    UNAVAILABLE = "the store could not be reached"
    REFUSED = "the store refused"
    CALL_LOST = "the call was lost"
    ANSWER_LOST = "the answer was lost"
    LATE = "no answer came, for the call comes late"


class Client:
    """A backend as one process sees it, through the network.

    Args:
        stage: where time passes.
        life: whose it is.
        backend: the store, as it is without a network.
        carry: makes a call in the store: told the verb, its arguments, and whether it comes late.
    """

    def __init__(self, stage: Stage, life: Life, backend: Backend, carry: Callable[..., Any]) -> None:
        self.troubles: list[tuple[str, Trouble]] = []  # each awaits the next call of a verb
        self.away_until = -inf
        self.backend = backend
        self._stage = stage
        self._life = life
        self._carry = carry

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        """A verb of the protocol that the loops use; the optional abilities are left out."""
        if verb not in VERBS:
            raise AttributeError(verb)
        return partial(self._call, verb)

    def _call(self, verb: str, *arguments: Any) -> Any:
        self._take_time()
        if self._stage.now < self.away_until:
            raise Unavailable("the store is away")
        trouble = next((trouble for whose, trouble in self.troubles if whose == verb), None)
        if trouble:
            self.troubles.remove((verb, trouble))
        match trouble:
            case Trouble.UNAVAILABLE:
                raise Unavailable(trouble)
            case Trouble.REFUSED:
                raise Refused(trouble)
            case Trouble.LATE:
                self._stage.start(Life("network"), lambda: self._come_late(verb, arguments))
            case Trouble.CALL_LOST:
                pass
            case _:
                answer = self._carry(verb, arguments)
                self._take_time()
                if trouble is None:
                    return answer
                if not _gave(answer):  # then nothing is lost with it: the trouble is kept for one that matters
                    self.troubles.append((verb, trouble))
                    return answer
        self._stage.wait(PATIENCE)
        self.away_until = max(self.away_until, self._stage.now + self._stage.random.choice((0.0, PATIENCE)))
        raise Uncertain(trouble)

    def _come_late(self, verb: str, arguments: tuple[Any, ...]) -> None:
        self._stage.wait(self._stage.random.choice((0.01, PATIENCE, 1.0, 5.0)))
        self._carry(verb, arguments, late=True)

    def _take_time(self) -> None:
        self._stage.wait(self._stage.random.choice(LATENCIES))


def _gave(answer: Any) -> bool:
    return bool(answer.claims if isinstance(answer, Claimed) else answer)
