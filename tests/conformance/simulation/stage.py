"""The stage: actors of which one acts at a time, chosen by lot, under a clock that jumps when all of them wait.

An actor acts from one `wait` to the next. So all that happens follows from the seed, and processes can die, or
stand still, at each place where one of their actors waits: before and after each call to the store, and at rest.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import ceil, inf
from typing import Any, Final

from greenlet import getcurrent, greenlet  # type: ignore[import-untyped]  # its types are a package of their own

from jobcore import clocks
from jobcore.conformance.harness import Harness

_WALL: Final = 1_700_000_000.0


class Died(BaseException):
    """The process of the actor in which this is raised was killed."""


class Life:
    """A process as the stage knows it.

    Args:
        name: what it is called in the trace.
        origin: what its clock stands at when the stage's stands at 0: processes share no clock.
    """

    def __init__(self, name: str, origin: float = 0.0) -> None:
        self.name = name
        self.origin = origin
        self.dead = False
        self.still_until = -inf  # it stands still until then

    def __str__(self) -> str:
        return self.name


class Actor:
    """One thread of a process, and when it can go on: at `until`, or once `ready()`."""

    def __init__(self, life: Life, body: Callable[[], None], hub: Any) -> None:
        self.life = life
        self.thread = greenlet(body, hub)
        self.until = -inf
        self.ready: Callable[[], bool] = lambda: False


class Stage:
    """Has actors act, one at a time.

    Args:
        seed: what all chance on the stage is drawn from.
        harness: has the store's clock. If that can't be moved by hand, real time passes here as well.

    Attributes:
        random: what all chance is drawn from.
        steps: how many steps were taken.
        acting: who acts just now.
    """

    acting: Actor

    def __init__(self, seed: int, harness: Harness) -> None:
        self.random = random.Random(seed)
        self.steps = 0
        self._actors: list[Actor] = []
        self._harness = harness
        self._hub = getcurrent()
        self._thread = threading.get_ident()
        self._now = 0.0
        self._began = time.perf_counter()

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return self._now if self._harness.clock else time.perf_counter() - self._began

    def start(self, life: Life, body: Callable[[], None]) -> None:
        """Have one more actor."""
        self._actors.append(Actor(life, body, self._hub))

    def wait(self, seconds: float = 0.0, ready: Callable[[], bool] = lambda: False) -> None:
        """Within an actor: let others act, for so long or until `ready()`; raises `Died` if its process has."""
        actor = self.acting
        if not actor.life.dead:
            actor.until, actor.ready = self.now + seconds, ready
            self._hub.switch()
        if actor.life.dead:
            raise Died

    def step(self) -> bool:
        """Let one actor act that can, or time pass until one can. False: none ever can."""
        self._bury()
        now = self.now
        able = [
            actor for actor in self._actors if actor.life.still_until <= now and (actor.until <= now or actor.ready())
        ]
        if not able:
            return self._pass()
        self.steps += 1
        actor = self.acting = self.random.choice(able)
        with suppress(Died):
            actor.thread.switch()
        if actor.thread.dead:
            self._actors.remove(actor)
        return True

    def close(self) -> None:
        """End all actors."""
        for actor in self._actors:
            actor.life.dead = True
        self._bury()

    @contextmanager
    def clocks(self) -> Iterator[None]:
        """Have the loops read the clocks of the processes that they are in, and draw what they draw from the seed."""
        steady, wall, drawn = clocks.steady, clocks.wall, random.getstate()
        clocks.steady = lambda: self.now + self.acting.life.origin if self._is_here else steady()
        clocks.wall = lambda: self.now + _WALL if self._is_here else wall()
        random.seed(self.random.random())
        try:
            yield
        finally:
            clocks.steady, clocks.wall = steady, wall
            random.setstate(drawn)

    @property
    def _is_here(self) -> bool:
        """Whether this is the stage's thread: others, of whatever else goes on, keep their clocks."""
        return threading.get_ident() == self._thread

    def _bury(self) -> None:
        """End the actors of processes that have died: each leaves its loop by an exception."""
        for actor in [actor for actor in self._actors if actor.life.dead]:
            self._actors.remove(actor)
            self.acting = actor
            with suppress(Died):
                actor.thread.throw(Died)

    def _pass(self) -> bool:
        """Let time pass until somebody can act."""
        moments = (max(actor.life.still_until, -inf if actor.ready() else actor.until) for actor in self._actors)
        moment = min(moments, default=inf)
        if moment == inf:
            return False
        ahead = ceil((moment - self.now) * 1_000_000) / 1_000_000
        if ahead > 0:
            self._harness.advance(ahead)
            self._now += ahead
        return True
