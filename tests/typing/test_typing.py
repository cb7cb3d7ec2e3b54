"""The face type-checks: ordinary use without a cast, and each planted misuse is an error where it stands."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "src"
pytestmark = pytest.mark.slow  # two type checkers, each of which reads all of the package


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as one folder: static tools don't follow setuptools' mapping of folders to packages."""
    top = tmp_path_factory.mktemp("tree")
    (top / "jobcore").mkdir()
    for each in [*(SOURCES / "jobcore").iterdir(), SOURCES / "backends"]:
        (top / "jobcore" / each.name).symlink_to(each)
    return top


def mypy(tree: Path, file: str) -> list[int]:
    """The lines that mypy objects to."""
    command = ["-m", "mypy", "--strict", "--config-file=", f"--cache-dir={tree / 'cache'}", str(HERE / file)]
    said = run(command, {"MYPYPATH": str(tree)})
    assert re.search(r"Found \d+ error|no issues found", said), said
    return sorted({int(line) for line in re.findall(rf"{re.escape(file)}:(\d+): error", said)})


def pyright(tree: Path, file: str) -> list[int]:
    """The lines that pyright objects to."""
    project = tree / file.removesuffix(".py")
    project.mkdir()
    (project / file).write_text((HERE / file).read_text())
    settings = {"include": [file], "extraPaths": [str(tree)], "typeCheckingMode": "strict"}
    (project / "pyrightconfig.json").write_text(json.dumps(settings))
    said = json.loads(run(["-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(project)], {}))
    assert said["summary"]["filesAnalyzed"] == 1, said
    found = [each for each in said["generalDiagnostics"] if each["severity"] == "error"]
    return sorted({each["range"]["start"]["line"] + 1 for each in found})


def run(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=HERE, env=os.environ | environment, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    return done.stdout or done.stderr


CHECKERS = [mypy, pyright]


@pytest.mark.parametrize("check", CHECKERS)
def test_ordinary_use_has_no_error(check, tree: Path) -> None:
    assert check(tree, "ordinary.py") == []


@pytest.mark.parametrize("check", CHECKERS)
def test_each_planted_misuse_is_an_error(check, tree: Path) -> None:
    lines = (HERE / "misuse.py").read_text().splitlines()
    planted = [number for number, line in enumerate(lines, 1) if "# misuse:" in line]
    assert len(planted) >= 15
    assert check(tree, "misuse.py") == planted
