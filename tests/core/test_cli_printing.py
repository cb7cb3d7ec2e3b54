"""What `jobcore` does where its output, or a file that it was asked for, can't be written; what `prove` refuses."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jobcore.cli.app import app

FULL = "Error: the output could not be written: [Errno 28] No space left on device\n"


def run(*arguments: str, stdout: int, unbuffered: bool, folder: Path | None = None) -> tuple[int, str]:
    """The exit code and stderr of `jobcore`, with its output sent to a file descriptor, which is closed then."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = [sys.executable, *["-u"] * unbuffered, "-m", "jobcore", *arguments]
    with os.fdopen(stdout, "wb") as out:
        done = subprocess.run(
            command, env=environment, cwd=folder, stdout=out, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    return done.returncode, done.stderr


@pytest.mark.parametrize("unbuffered", [False, True])
@pytest.mark.parametrize("arguments", [("--help",), ("--version",)])
def test_a_full_disk_is_told_in_a_line(arguments: tuple[str, ...], unbuffered: bool) -> None:
    assert run(*arguments, stdout=os.open("/dev/full", os.O_WRONLY), unbuffered=unbuffered) == (1, FULL)


def test_an_error_that_is_not_of_the_output_keeps_its_traceback(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("raise OSError(28, 'No space left on device')")
    null = os.open(os.devnull, os.O_WRONLY)
    code, said = run("worker", "shop:queue", stdout=null, unbuffered=False, folder=tmp_path)
    assert code == 1
    assert "Traceback" in said
    assert "output" not in said


@pytest.mark.parametrize(
    "command",
    [
        ("conformance", "memory://shared", "--badge"),
        ("conformance", "memory://shared", "--json"),
        ("prove", "sqlite:///a.db", "--picture"),
    ],
)
@pytest.mark.parametrize("file", ["nowhere/run.svg", "."])
def test_a_file_that_cannot_be_written_is_told_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], file: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, [*command, file])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.replace("\n", " ").startswith(f"Error: {file} can't be written")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "said"),
    [("--lease=0", "lease is more than 0 seconds"), ("--restart-command=", "--restart-command is empty")],
)
def test_what_prove_is_told_is_checked_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["prove", "sqlite:///a.db", "--jobs", "1", option])
    assert (result.exit_code, result.stderr) == (2, f"Error: {said}\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("unbuffered", [False, True])
def test_a_reader_that_has_left_is_no_error_to_tell_of(unbuffered: bool) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    assert run("--version", stdout=writer, unbuffered=unbuffered) == (1, "")
