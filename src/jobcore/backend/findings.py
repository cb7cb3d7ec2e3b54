"""What a store that is looked at is found to guarantee, and what not."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


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
