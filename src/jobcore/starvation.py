"""Jobs that keep the event loop to themselves: seen by a thread that asks the loop for signs of life."""

from __future__ import annotations

import threading
import traceback
from typing import TYPE_CHECKING, Final

from jobcore import clocks
from jobcore.events import Event, Kind, Teller
from jobcore.loops import every

if TYPE_CHECKING:
    from jobcore.hands import Hands

LONGEST: Final = 5.0
"""Seconds after which a loop that does not answer is told of, at the latest within twice that."""

_FRAMES: Final = 4
_ADVICE: Final = "async jobs stand still meanwhile; make it a sync job, or await asyncio.to_thread(…)"


class LoopWatch:
    """Tells, once each time, of an event loop that a job does not let go of.

    A job that holds the interpreter's own lock stops this thread as well: that is seen from outside only (see
    `jobcore.cli.pulse`).

    Args:
        hands: whose loop it is.
        teller: whom to tell.
        queue: the name to tell it under where the job is not known.
        lease: seconds; the shorter, the sooner it is told.
    """

    def __init__(self, hands: Hands, teller: Teller, queue: str, lease: float) -> None:
        self._hands = hands
        self._teller = teller
        self._queue = queue
        self._interval = min(lease / 12, LONGEST)
        self._stop = threading.Event()
        self._asked: float | None = None
        self._told = False

    def start(self) -> None:
        """Watch until stopped."""
        arguments = self._interval, self.step, self._stop
        threading.Thread(target=every, args=arguments, name="jobcore-watch", daemon=True).start()

    def stop(self) -> None:
        """Watch no more."""
        self._stop.set()

    def step(self) -> None:
        """Ask the loop for a sign of life, or tell that the last one has not come."""
        if not self._hands.loop.started or self._stop.is_set():
            return
        if self._asked is None:
            self._asked, self._told = clocks.steady(), False
            self._hands.loop.soon(self._answer)
        elif not self._told:
            self._told = True
            self._tell(clocks.steady() - self._asked)

    def _answer(self) -> None:
        self._asked = None

    def _tell(self, seconds: float) -> None:
        task, frames = self._hands.blocking(), self._hands.loop.frames()
        where = "".join(traceback.format_list(frames[-_FRAMES:])).rstrip()
        reason = f"the event loop is blocked: {_ADVICE}\n{where}"
        if task is None:
            event = Event(Kind.BLOCKING, self._queue, at=clocks.wall(), seconds=seconds, reason=reason)
        else:
            claim, name = task.claim, task.type.name
            event = Event(
                Kind.BLOCKING,
                task.setting.name,
                claim.id,
                name,
                clocks.wall(),
                claim.attempt,
                claim.lost,
                seconds,
                reason,
            )
        self._teller.tell([event])
