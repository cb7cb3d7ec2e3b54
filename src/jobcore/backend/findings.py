"""What a store that is looked at is found to guarantee, and what not."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Final

from msgspec import Struct

_ASKS: Final = 20
_SLOW_SECONDS: Final = 0.01
_WRONG_SECONDS: Final = 1.0


class Level(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    NOTE = "note"  # worth knowing, or it could not be found out
    WARNING = "warning"  # something may be lost, late or refused, in circumstances that are told
    DANGER = "danger"  # something is lost or refused now, or will be by the next ordinary mishap

    @property
    def weight(self) -> int:
        """It as a number, to compare by."""
        return list(Level).index(self)


class Finding(Struct, frozen=True):
    """One thing that was looked at.

    Attributes:
        level: how much it matters.
        about: what was looked at, in a word or two: the same whatever was found.
        found: how it stands.
        consequence: what follows for jobs; none where all is well.
        remedy: a command or setting that mends it, as it would be typed; none where nothing has to be done.
    """

    level: Level
    about: str
    found: str
    consequence: str = ""
    remedy: str = ""


def round_trip(ask: Callable[[], object]) -> float:
    """How many seconds a server takes to answer: the median of some calls of `ask`, which asks for next to nothing."""

    def timed() -> float:
        begun = time.perf_counter()
        ask()
        return time.perf_counter() - begun

    return statistics.median(timed() for _ in range(_ASKS))


def server_finding(name: str, distance: float, outdated: str = "") -> Finding:
    """What follows from which server it is.

    Args:
        name: with its version.
        distance: seconds of a round trip.
        outdated: what follows from its version, if that is older than what is supported.
    """
    said = f"{name}, {distance * 1000:.2f} ms away"
    if outdated:
        return Finding(Level.DANGER, "server", said, outdated, "upgrade")
    if distance > _SLOW_SECONDS:
        remedy = "put workers and producers near the server"
        return Finding(Level.WARNING, "server", said, "each call waits for that", remedy)
    return Finding(Level.OK, "server", said)


def clock_finding(ahead: float) -> Finding:
    """What follows from a server's clock that is so many seconds ahead of this machine's, or behind it."""
    if abs(ahead) > _WRONG_SECONDS:
        return Finding(
            Level.WARNING,
            "clock",
            f"the server's clock is {abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} this one's",
            "a run_at is met by the server's clock; if that is set, leases end early or delays grow",
            "let both follow NTP",
        )
    return Finding(Level.OK, "clock", f"within {max(1, round(abs(ahead) * 1000))} ms of this machine's")
