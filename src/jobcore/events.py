"""What happens, told: frozen events, handed in batches to listeners on a thread of their own."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from msgspec import Struct

if TYPE_CHECKING:
    from jobcore.queue import Queue

_log: Final = logging.getLogger("jobcore")


class Kind(StrEnum):
    """What an `Event` tells of."""

    PUSHED = "pushed"
    DUPLICATE = "duplicate"
    STARTED = "started"
    SUCCEEDED = "succeeded"
    RETRIED = "retried"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    BROKEN = "broken"
    RETURNED = "returned"
    LOST = "lost"
    RECOVERED = "recovered"
    REFUSED = "refused"
    UNPROVEN = "unproven"
    HEALED = "healed"
    STUCK = "stuck"
    BLOCKING = "blocking"
    AWAY = "away"
    BACK = "back"


LEVELS: Final = {
    Kind.RETRIED: logging.WARNING,
    Kind.FAILED: logging.ERROR,
    Kind.TIMED_OUT: logging.ERROR,
    Kind.BROKEN: logging.ERROR,
    Kind.LOST: logging.WARNING,
    Kind.RECOVERED: logging.WARNING,
    Kind.REFUSED: logging.WARNING,
    Kind.STUCK: logging.ERROR,
    Kind.BLOCKING: logging.WARNING,
    Kind.AWAY: logging.ERROR,
    Kind.BACK: logging.WARNING,
    Kind.HEALED: logging.INFO,
}
"""At which level an event is logged; DEBUG where it is not named."""

HELD_BACK: Final = frozenset({Kind.AWAY, Kind.BACK, Kind.LOST, Kind.REFUSED, Kind.UNPROVEN})
"""What comes in floods when a store is in trouble: logged at most once a second."""


class Event(Struct, frozen=True):
    """Something that happened to a job, or to the store.

    Attributes:
        kind: what happened. LOST: a lease of ours was gone when it was to be extended; REFUSED: a settlement of
            ours was refused, as its token was no longer current; UNPROVEN: the same, but of a call that had to be
            repeated, which proves nothing; STUCK: a job ran on past its timeout and grace; BLOCKING: an async job does
            not let go of the event loop (where a task of its own does that, its id and name are not known); AWAY and
            BACK: the store.
        queue: the queue's name.
        id: the job's id, where there is one job.
        name: the job's name, where it is known.
        at: seconds since the Unix epoch, by this process's clock.
        attempt: the run's number.
        lost: how many leases of the job ended unsettled.
        seconds: how long the run took, where one ended; how long it has blocked.
        reason: why, in words.
    """

    kind: Kind
    queue: str
    id: str | None = None
    name: str | None = None
    at: float = 0.0
    attempt: int = 0
    lost: int = 0
    seconds: float | None = None
    reason: str = ""


Listener: TypeAlias = Callable[[Sequence[Event]], None]

_LINGER_SECONDS: Final = 1.0
"""How long a thread that hands events over waits for more."""


class Teller:
    """Hands batches of events to listeners, in order, on one thread; `tell` never blocks.

    Args:
        listeners: each is called with a batch. What a listener raises is logged and stops nothing.
        bound: events that may wait; beyond it the oldest batches are dropped, and that is logged.
    """

    def __init__(self, listeners: Sequence[Listener], bound: int = 100_000) -> None:
        self._listeners = tuple(listeners)
        self._batches: deque[Sequence[Event]] = deque()
        self._bound = bound
        self._waiting = 0
        self._dropped = 0
        self._changed = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None

    def __bool__(self) -> bool:
        """Whether anybody listens: without, making events is a waste."""
        return bool(self._listeners)

    def tell(self, events: Sequence[Event]) -> None:
        """Pass a batch on; returns at once."""
        if not events or not self._listeners:
            return
        with self._changed:
            if self._closed:
                return
            self._batches.append(events)
            self._waiting += len(events)
            while self._waiting > self._bound and len(self._batches) > 1:
                gone = len(self._batches.popleft())
                self._waiting -= gone
                self._dropped += gone
            if self._thread is None:
                self._start()
            self._changed.notify()

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="jobcore-events", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system gives no more threads: the next batch tries again
            _log.warning("no thread can be started for listeners; events wait")
        else:
            self._thread = thread

    def close(self, timeout: float = 5.0) -> None:
        """Hand over what waits, for up to `timeout` seconds, and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def _run(self) -> None:
        while batch := self._next():
            self._hand(batch)

    def _next(self) -> Sequence[Event] | None:
        """The next batch; None once nothing comes any more, when the thread ends."""
        with self._changed:
            self._changed.wait_for(lambda: self._batches or self._closed, _LINGER_SECONDS)
            if not self._batches:
                self._thread = None
                return None
            batch = self._batches.popleft()
            self._waiting -= len(batch)
            dropped, self._dropped = self._dropped, 0
        if dropped:
            _log.warning("listeners are too slow: %d events were dropped", dropped)
        return batch

    def _hand(self, batch: Sequence[Event]) -> None:
        for listener in self._listeners:
            try:
                listener(batch)
            except BaseException:  # noqa: BLE001 -- also SystemExit: a listener stops nothing
                _log.exception("a listener for events failed")


def listeners_of(queues: Sequence[Queue[Any]], own: Sequence[Listener] | Listener) -> list[Listener]:
    """Who hears of what is done for some queues: their loggers, `own`, and each queue's listeners of that queue."""
    log = LogListener({queue.name: queue.logger for queue in queues})
    others = [_only(queue.name, listener) for queue in queues for listener in queue.listeners]
    return [log, *((own,) if callable(own) else own), *others]


def _only(queue: str, listener: Listener) -> Listener:
    def hear(events: Sequence[Event]) -> None:
        heard = [event for event in events if event.queue == queue]
        if heard:
            listener(heard)

    return hear


class LogListener:
    """Writes events to the queues' loggers: routine at DEBUG, each job's trouble, and the store's once a second.

    What was held back is counted, and said with the next line of its kind.
    """

    def __init__(self, loggers: dict[str, logging.Logger]) -> None:
        self._loggers = loggers
        self._last: dict[tuple[str, Kind], float] = {}
        self._held: dict[tuple[str, Kind], int] = {}

    def __call__(self, events: Sequence[Event]) -> None:
        """Log a batch."""
        for event in events:
            level = LEVELS.get(event.kind, logging.DEBUG)
            logger = self._loggers.get(event.queue, _log)
            if not logger.isEnabledFor(level):
                continue
            held = self._due(event) if event.kind in HELD_BACK else 0
            if held is not None:
                logger.log(level, "%s", describe(event) + (f" (and {held} more)" if held else ""))

    def _due(self, event: Event) -> int | None:
        """How many of the kind were held back since the last line, or None if this one is to be as well."""
        key, now = (event.queue, event.kind), time.monotonic()
        if now - self._last.get(key, -1.0e9) < 1.0:
            self._held[key] = self._held.get(key, 0) + 1
            return None
        self._last[key] = now
        return self._held.pop(key, 0)


def describe(event: Event) -> str:
    """An event as one line of text."""
    words = [event.kind.value]
    words += [f"{event.name or 'job'} {event.id}"] if event.id else []
    words += [f"attempt {event.attempt}"] if event.attempt else []
    words += [f"lost {event.lost}"] if event.lost else []
    words += [f"after {event.seconds:.3f} s"] if event.seconds is not None else []
    return " ".join(words) + (f": {event.reason}" if event.reason else "")
