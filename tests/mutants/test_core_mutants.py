"""Each bug in the core's loops is found by simulation; the same copy without one plays on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Final

import pytest

from mutants.core_loops import MUTANTS
from mutants.mutant import Mutant, change

TOP: Final = Path(__file__).parents[2]
PLAYS: Final = 300
"""Within so many simulations a bug must show; most do within ten."""


def planted_core(folder: Path, mutant: Mutant | None) -> dict[str, str]:
    """Make a copy of the core in `folder`, with a bug or with none; returns an environment in which it is imported."""
    shutil.copytree(TOP / "src/jobcore", folder / "jobcore", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "jobcore/backends").symlink_to(TOP / "src/backends")
    (folder / "jobcore/conformance").symlink_to(TOP / "tests/conformance")
    if mutant:
        change(folder / "jobcore" / mutant.file.partition("/")[2], mutant.old, mutant.new)
    return os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}


def played(environment: dict[str, str], plays: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "jobcore.conformance.simulation", "--seed=0", f"--plays={plays}"]
    return subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=600)


@pytest.mark.parametrize(
    "mutant", [pytest.param(one, id=one.name, marks=[pytest.mark.slow] * one.slow) for one in MUTANTS]
)
def test_a_bug_in_the_loops_is_found(
    mutant: Mutant, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    began = monotonic()
    done = played(planted_core(tmp_path, mutant), PLAYS)
    told = [line for line in done.stdout.splitlines() if line.startswith("In the simulation of seed")]
    assert told, done.stdout + done.stderr
    for name, value in {
        "mutant": str(mutant),
        "bug": mutant.bug,
        "law": "loops",
        "killer": told[0],
        "seconds": monotonic() - began,
    }.items():
        record_property(name, value)


def test_the_same_copy_without_a_bug_plays_on(tmp_path: Path) -> None:
    done = played(planted_core(tmp_path, None), 10)
    assert done.returncode == 0, done.stdout + done.stderr
