"""The loops of workers and monitors on a store, simulated."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from jobcore.conformance.effort import Effort
from jobcore.conformance.harness import Harness
from jobcore.conformance.kept import Seeds
from jobcore.conformance.simulation.play import Play, shortest


class Loops:
    """All laws at once, as workers and monitors live by them, in simulations of processes that die, stand still and
    are cut off from the store: whatever happens nothing is lost, run by two or counted wrongly, and then all drains.
    """

    def test_whatever_happens_to_workers_all_jobs_come_to_their_ends(
        self, harness: Harness, effort: Effort, record_property: Callable[[str, object], None]
    ) -> None:
        if harness.clock is None:
            record_property("verdict", "variant")
        kept, played = Seeds(harness, "Loops"), 0
        for number in effort.rounds():
            drawn = Random(number)
            for seed in [*kept, *(drawn.getrandbits(32) for _ in range(_plays(harness, effort)))]:
                played += 1
                play = Play(seed, harness)
                kept.note(seed, failed=not play.run())
                if play.wrong:
                    pytest.fail(shortest(play).told(), pytrace=False)
            record_property("examples", played)


def _plays(harness: Harness, effort: Effort) -> int:
    """How many simulations a round has: each takes as long as many histories do, and longest in real time."""
    return max(1, (effort.examples or harness.examples) // 6) if harness.clock else 1
