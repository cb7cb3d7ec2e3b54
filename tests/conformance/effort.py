"""How much is tried of what can be tried without end."""

from __future__ import annotations

import time
from collections.abc import Iterator

from msgspec import Struct


class Effort(Struct, frozen=True):
    """How random histories are drawn.

    Attributes:
        seed: what all tests draw their first round from; each further round has the next number.
        examples: how many a round tries; None: as many as the harness says.
        seconds: for how long further rounds are begun.
    """

    seed: int
    examples: int | None = None
    seconds: float = 0

    def rounds(self) -> Iterator[int]:
        """The seed of each round: one, and others while there is time."""
        began, seed = time.monotonic(), self.seed
        yield seed
        while time.monotonic() - began < self.seconds:
            seed += 1
            yield seed
