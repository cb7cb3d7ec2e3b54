"""Simulates workers and monitors on a store: `python -m jobcore.conformance.simulation --help`."""

from __future__ import annotations

import argparse
import secrets
import sys

from rich.progress import track

from jobcore.backend import Backend
from jobcore.backends.memory import MemoryBackend, Store
from jobcore.cli.scratch import check_store
from jobcore.cli.secrets import given_url, without_passwords
from jobcore.conformance.harness import Harness
from jobcore.conformance.simulation.play import Play, shortest
from jobcore.conformance.url import UrlHarness
from jobcore.errors import ConfigurationError, JobcoreError
from jobcore.testing import ManualClock


class _Memory(Harness):
    """A store in memory, without the way by a URL, which takes longer than many plays."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self._store = Store()

    def make(self) -> Backend:
        return MemoryBackend(self.clock, store=self._store)

    def close(self) -> None:
        """Nothing is left of it."""


def main() -> int:
    """Simulate, and return 1 once something is wrong, having said what; 2 if asked wrongly, 3 if the store is away."""
    parser = argparse.ArgumentParser(prog="python -m jobcore.conformance.simulation", description=__doc__)
    parser.add_argument("url", nargs="?", metavar="URL", help="a scratch store, or env:NAME; default: one in memory")
    parser.add_argument("--seed", type=int, help="where to begin; default: anywhere")
    parser.add_argument("--plays", type=int, default=1, help="how many simulations, of this seed and the next ones")
    parser.add_argument("--without", nargs="+", default=[], metavar="PART", help="leave out these jobs and strikes")
    options = parser.parse_args()
    try:
        return _simulate_all(given_url(options.url), options)
    except ConfigurationError as error:
        parser.error(without_passwords(str(error)))
    except JobcoreError as error:
        parser.exit(3, f"Error: {without_passwords(str(error))}\n")


def _simulate_all(url: str | None, options: argparse.Namespace) -> int:
    if url:
        check_store(url)
    first = secrets.randbelow(1 << 32) if options.seed is None else options.seed
    for seed in track(range(first, first + options.plays), "Simulating", disable=not sys.stderr.isatty()):
        if failure := _simulate(url, seed, options.without):
            sys.stdout.write(failure + "\n")
            return 1
    sys.stdout.write(f"{options.plays} simulations from seed {first} on: nothing is wrong\n")
    return 0


def _simulate(url: str | None, seed: int, without: list[str]) -> str | None:
    """What is wrong in a simulation, or None."""
    harness = UrlHarness(url) if url else _Memory()
    try:
        play = Play(seed, harness, without)
        if unknown := {*without} - {*play.parts}:
            raise ConfigurationError(
                f"there is no {sorted(unknown)} in the simulation of seed {seed}, but {play.parts}"
            )
        return None if play.run() else (play if without else shortest(play)).told()
    finally:
        harness.close()


if __name__ == "__main__":
    sys.exit(main())
