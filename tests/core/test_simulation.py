"""Simulations: they follow from their seed, and tell what is wrong so that it can be seen again."""

from __future__ import annotations

from jobcore.backend import Answer, Backend
from jobcore.backends.memory import MemoryBackend, Store
from jobcore.conformance import Harness
from jobcore.conformance.simulation.play import Play
from jobcore.testing import ManualClock


class Memory(Harness):
    def __init__(self, kind: type[MemoryBackend] = MemoryBackend) -> None:
        self.clock = ManualClock()
        self._store = Store()
        self._kind = kind

    def make(self) -> Backend:
        return self._kind(self.clock, store=self._store)


class Forgetful(MemoryBackend):
    """A store that takes settlements, and does nothing with them."""

    def settle(self, queue, settlements, keep):
        return [Answer.DONE] * len(settlements)


def rows(seed: int) -> list[tuple[object, ...]]:
    play = Play(seed, Memory())
    assert play.run() is None
    return [*play.ledger.rows]


def test_a_simulation_follows_from_its_seed() -> None:
    assert rows(3) == rows(3)
    assert rows(3) != rows(4)


def test_what_is_wrong_is_told_as_the_story_of_one_job() -> None:
    failure = Play(0, Memory(Forgetful)).run()
    assert failure
    first, *table = failure.splitlines()
    assert first.startswith("In the simulation of seed 0, of the job ")
    assert any("settles it by" in line for line in table)
    assert "python -m jobcore.conformance.simulation --seed 0" in failure
