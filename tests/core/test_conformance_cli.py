"""`jobcore conformance`: the suite from the command line, on good, broken and absent stores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobcore.backend import Counts, Joins, Push, Wakes
from jobcore.cli import conformance
from jobcore.cli.exits import ExitCode
from jobcore.conformance.url import UrlHarness
from jobcore.errors import ConfigurationError

BOUND = 120
METADATA = "Metadata-Version: 2.1\nName: broken-driver\nVersion: 3.2.1\n"
POINTS = "[jobcore.backends]\n" + "\n".join(f"{kind} = broken_driver:{kind}" for kind in ("leaky", "away", "leaving"))
DRIVER = """
from itertools import count
from jobcore.backend import Push, Unavailable
from jobcore.backends.memory import MemoryBackend, Store

STORE = Store()
CALLS = count()

class Leaky(MemoryBackend):
    def claim(self, queue, *arguments):
        self.push(queue, [Push("leak", b"")])
        return super().claim(queue, *arguments)

class Away(MemoryBackend):
    def counts(self, queue):
        raise Unavailable("no answer from shoebox://clerk:hunter2@cellar")

class Leaving(MemoryBackend):
    def counts(self, queue):
        if next(CALLS) > 5:
            raise Unavailable("the cellar is flooded")
        return super().counts(queue)

def leaky(url): return Leaky(store=STORE)
def away(url): return Away(store=STORE)
def leaving(url): return Leaving(store=STORE)
"""


def run(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it where a package with broken drivers is installed."""
    installed = tmp_path / "broken_driver-3.2.1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text(METADATA)
    (installed / "entry_points.txt").write_text(POINTS)
    (tmp_path / "broken_driver.py").write_text(DRIVER)
    return subprocess.run(
        [sys.executable, "-m", "jobcore", "conformance", *arguments],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )


def test_a_good_driver_passes(tmp_path: Path) -> None:
    files = [f"--{kind}={tmp_path / kind}" for kind in ("json", "markdown", "badge")]
    done = run(tmp_path, "memory://scratch", "--law=7", "--quick", *files)
    assert (done.returncode, done.stderr) == (ExitCode.DONE, "")
    assert done.stdout.startswith("memory://scratch: PASSED, kept 1 of 1 law asked for; ")
    assert "    7 Empty             passed" in done.stdout
    (verdict,) = json.loads((tmp_path / "json").read_bytes())["verdicts"]
    assert verdict["name"] == "memory://scratch"
    assert verdict["subject"]["package"].startswith("jobcore-queue ")
    assert [finding["law"]["number"] for finding in verdict["findings"]] == [7]
    again = f"python -m jobcore conformance memory://scratch --law=7 --quick {' '.join(files)} --seed "
    assert done.stdout.endswith(f"\nTo repeat this run:  {again}{verdict['run']['seed']}\n")
    assert "| 7 | Empty | passed |" in (tmp_path / "markdown").read_text()
    assert "</svg>" in (tmp_path / "badge").read_text()


def test_a_broken_one_fails_by_law_and_sentence(tmp_path: Path) -> None:
    done = run(tmp_path, "leaky://clerk:hunter2@cellar?depth=3", "--law=7", "--quick")
    assert done.returncode == ExitCode.FAILED
    assert done.stdout.startswith("leaky://cellar: FAILED")
    assert "broken-driver 3.2.1" in done.stdout
    assert "Broken is law 7, Empty: Claiming from an empty queue changes nothing." in done.stdout
    assert "test_claiming_from_an_empty_queue_changes_nothing" in done.stdout
    assert "assert" in done.stdout
    assert "hunter2" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["memory://"], "another store each time"),
        (["nope://x"], "no driver is installed for nope://"),
        (["memory://x?depth=3"], "no option 'depth'"),
        (["env:NOWHERE"], "NOWHERE is not set"),
        (["memory://x", "--law=14"], "--law"),
    ],
)
def test_what_can_not_be_tried_is_told(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = run(tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (ExitCode.USAGE, "")
    assert said in done.stderr
    assert done.stderr.startswith(("Error: ", "Usage: "))


def test_a_store_that_is_away_is_told(tmp_path: Path) -> None:
    done = run(tmp_path, "away://cellar")
    assert done.returncode == ExitCode.UNAVAILABLE
    assert done.stderr.startswith("Error: no answer from")
    assert "hunter2" not in done.stderr


def test_a_store_that_goes_away_is_no_broken_law(tmp_path: Path) -> None:
    done = run(tmp_path, "leaving://cellar", "--law=7", "--quick")
    assert done.returncode == ExitCode.UNAVAILABLE
    assert "the cellar is flooded" in done.stdout


def test_a_suite_that_can_not_be_loaded_is_told(tmp_path: Path) -> None:
    (tmp_path / "hypothesis.py").write_text("raise ImportError('half of it is missing')")
    done = run(tmp_path, "memory://scratch")
    assert done.returncode == ExitCode.FAILED
    assert done.stderr.startswith("Error: the suite can't be loaded: ")
    assert "half of it is missing" in done.stderr


def test_what_to_install_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conformance, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r'pip install "jobcore-queue\[conformance\]"'):
        conformance._suite()


def test_what_stands_before_a_store_has_its_abilities_and_takes_arguments_by_name():
    harness = UrlHarness("memory://guarded")
    backend = harness.make()
    assert isinstance(backend, Wakes)
    assert not isinstance(backend, Joins)
    assert backend.counts(queue="q") == Counts()
    backend.push(queue="q", pushes=[Push("a", b"")])
    harness.close()
    assert harness.make().counts("q") == Counts()
