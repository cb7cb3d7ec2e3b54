"""Simulates workers and monitors on a store in memory: `python -m jobcore.conformance.simulation --help`."""

from __future__ import annotations

import argparse
import secrets
import sys

from rich.progress import track

from jobcore.backend import Backend
from jobcore.backends.memory import MemoryBackend, Store
from jobcore.conformance.harness import Harness
from jobcore.conformance.simulation.play import Play
from jobcore.testing import ManualClock


class _Memory(Harness):
    """A store in memory."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self._store = Store()

    def make(self) -> Backend:
        return MemoryBackend(self.clock, store=self._store)


def main() -> int:
    """Simulate, and return 1 once something is wrong, having said what."""
    parser = argparse.ArgumentParser(prog="python -m jobcore.conformance.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="where to begin; default: anywhere")
    parser.add_argument("--plays", type=int, default=1, help="how many simulations, of this seed and the next ones")
    options = parser.parse_args()
    first = secrets.randbelow(1 << 32) if options.seed is None else options.seed
    for seed in track(range(first, first + options.plays), "Simulating", disable=not sys.stderr.isatty()):
        if failure := Play(seed, _Memory()).run():
            sys.stdout.write(failure + "\n")
            return 1
    sys.stdout.write(f"{options.plays} simulations from seed {first} on: nothing is wrong\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
