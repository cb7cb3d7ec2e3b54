"""Simulations: they follow from their seed, and tell what is wrong so that it can be seen again."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest
from hypothesis.database import InMemoryExampleDatabase

from jobcore.backend import Answer, Backend
from jobcore.backends.memory import MemoryBackend, Store
from jobcore.conformance import Harness, kept
from jobcore.conformance.simulation.__main__ import main
from jobcore.conformance.simulation.play import Play, shortest
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
    assert play.run()
    return [*play.ledger.rows]


def test_a_simulation_follows_from_its_seed() -> None:
    assert rows(3) == rows(3)
    assert rows(3) != rows(4)


def test_what_is_wrong_is_told_as_the_story_of_one_job() -> None:
    play = Play(0, Memory(Forgetful))
    assert not play.run()
    law, _, sentence, _, head, *table = play.told().splitlines()
    assert law.startswith("Broken is Loops: All laws at once")
    assert sentence.startswith("In the simulation of seed 0, of the job ")
    assert head.split() == ["step", "seconds", "who", "what"]
    assert any("settles it by" in line for line in table)
    assert table[-1] == "To replay it:  python -m jobcore.conformance.simulation --seed 0"


def test_what_is_not_needed_is_left_out() -> None:
    play = Play(0, Memory(Forgetful))
    play.run()
    shorter = shortest(play)
    left = [part for part in shorter.parts if part not in shorter.without]
    assert len(play.parts) > 5
    assert len(left) == 1
    assert left[0] in shorter.told()
    again = Play(0, Memory(Forgetful), shorter.without)
    again.run()
    assert again.ledger.rows == shorter.ledger.rows


def simulated(*arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "jobcore.conformance.simulation", "--seed=3", *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def test_a_simulation_is_replayed_on_a_store_by_its_seed_and_parts() -> None:
    parts = Play(3, Memory()).parts
    right = "1 simulations from seed 3 on: nothing is wrong\n"
    assert simulated("--without", *parts[:2], "--", "memory://here") == (0, right)
    code, said = simulated("--without", "nobody")
    assert code == 2
    assert said.endswith(f"error: there is no ['nobody'] in the simulation of seed 3, but {parts}\n")


@pytest.mark.parametrize(
    ("url", "said"), [("nope://x", "no driver is installed"), ("memory://", "another store each time")]
)
def test_a_store_that_can_not_be_simulated_on_is_told(
    url: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["simulation", url])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert said in capsys.readouterr().err


def test_seeds_that_failed_are_tried_first_as_long_as_they_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    default = SimpleNamespace(database=InMemoryExampleDatabase())
    monkeypatch.setattr(kept, "settings", SimpleNamespace(default=default))
    seeds, others = kept.Seeds(Memory(), "Loops"), kept.Seeds(Memory(), "Concurrency")
    for seed in (5, 4):
        seeds.note(seed, failed=True)
    seeds.note(6, failed=False)
    assert ([*seeds], [*others], [*kept.Seeds(Memory(), "Loops")]) == ([4, 5], [], [4, 5])
    seeds.note(4, failed=False)
    assert [*seeds] == [5]
