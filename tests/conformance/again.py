"""The command that repeats a run."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Final

from jobcore.cli.secrets import without_passwords

_OPTIONS: Final = {"jobcore": "--seed", "pytest": "--conformance-seed"}


def command(seed: int) -> str:
    """How this run was begun, with its seed if that was not among its arguments; passwords are left out."""
    path, *arguments = sys.argv
    module = Path(path).stem == "__main__"
    program = Path(path).parent.name if module else Path(path).name
    option = _OPTIONS.get(program, "--conformance-seed")
    if not any(argument.partition("=")[0] == option for argument in arguments):
        arguments += [option, f"{seed}"]
    return without_passwords(shlex.join([*["python", "-m"] * module, program, *arguments]))
