"""The jobs of a simulation: each follows a script that says how each of its runs ends."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, Final

from msgspec import Struct

from jobcore.backend import State
from jobcore.job import ExceptionBehavior, JobContext, LinearBackoff
from jobcore.queue import Queue

MAX_ATTEMPTS: Final = 3

AGAIN: Final = ("retry", "raise", "time out")
"""Words after which a job is run again, while it may."""

ENDS: Final = {
    "succeed": State.SUCCEEDED,
    "fail": State.FAILED,
    "retry": State.FAILED,
    "raise": State.FAILED,
    "time out": State.TIMED_OUT,
    "kill": State.FAILED,
    "garble": State.BROKEN,
}
"""The state that a job ends in, by the last word of its script. A job that kills its process fails as lost."""


class Plan(Struct, frozen=True):
    """One job of a simulation.

    Attributes:
        words: how each run ends; the first run is told by the first word.
        takes: seconds that a run takes.
        delay: seconds after which it is due.
    """

    queue: str
    id: str
    words: tuple[str, ...]
    takes: float
    delay: float
    priority: int

    @property
    def end(self) -> State:
        """The state that it ends in."""
        return ENDS[self.words[-1]]

    def after(self, attempt: int) -> State:
        """The state that follows the run of this number."""
        again = self.words[attempt - 1] in AGAIN and attempt < MAX_ATTEMPTS
        return State.READY if again else ENDS[self.words[attempt - 1]]


def plans(random: Random, queues: list[str], unit: float) -> list[Plan]:
    """Draw the jobs of a simulation: a few, and at most two that kill."""
    killers = random.choice((0, 0, 0, 1, 1, 2))
    scripts = [(*_before(random), "kill") for _ in range(killers)]
    scripts += [_script(random) for _ in range(random.randint(2, 8))]
    random.shuffle(scripts)
    return [
        Plan(
            queue=random.choice(queues),
            id=f"{'-'.join(words).replace(' ', '')}-{number}",
            words=words,
            takes=random.choice((0.0, 0.0, 0.01, 0.2, 1.0, 3.5)) * unit,
            delay=random.choice((0.0, 0.0, 0.0, 0.5, 2.0)) * unit,
            priority=random.choice((0, 0, 0, 1, -1)),
        )
        for number, words in enumerate(scripts, 1)
    ]


def _script(random: Random) -> tuple[str, ...]:
    before = _before(random)
    return (
        *before,
        random.choice(
            (
                "succeed",
                "succeed",
                "fail",
                *(AGAIN if len(before) == MAX_ATTEMPTS - 1 else ()),
                *(() if before else ("garble",)),
            )
        ),
    )


def _before(random: Random) -> list[str]:
    return random.choices(AGAIN, k=random.choice((0, 0, 0, 1, MAX_ATTEMPTS - 1)))


def declare(
    queue: Queue[Any], perform: Callable[[JobContext[Any], list[str], float], Any], lost: int, unit: float
) -> Any:
    """Give a queue the job that follows its script: `act.job(words, takes)`."""

    @queue.job(
        context=True,
        max_attempts=MAX_ATTEMPTS,
        max_lost=lost,
        timeout=4.0 * unit,
        backoff=LinearBackoff(0.5 * unit),
        on_exception=ExceptionBehavior.RETRY,
    )
    def act(context: JobContext[Any], words: list[str], takes: float) -> Any:
        return perform(context, words, takes)

    return act
