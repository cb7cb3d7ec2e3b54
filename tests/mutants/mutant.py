"""A mutant, and how its bug is planted in a copy of the driver."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Final

_SOURCES: Final = Path(__file__).parents[2] / "src"
_DRIVERS: Final = _SOURCES / "backends"
_serial: Final = count(1)


@dataclass(frozen=True)
class Mutant:
    """A driver with one plausible bug: in one file, one piece of text is another.

    Attributes:
        name: what it is called, among all mutants of its driver.
        bug: what is wrong, in one sentence.
        law: the class of the suite that the bug breaks.
        file: where the bug is: a path below src/backends, whose first folder is the driver, or `core/` and a path below
            src/jobcore.
        old: text that stands there exactly once.
        new: what stands there instead.
        slow: whether it is left to heavy runs.
    """

    name: str
    bug: str
    law: type
    file: str
    old: str
    new: str
    slow: bool = False

    @property
    def driver(self) -> str:
        """The driver that it is made of."""
        return self.file.partition("/")[0]

    @property
    def has_place(self) -> bool:
        """Whether what it changes is still there, once."""
        driver, _, path = self.file.partition("/")
        source = (_SOURCES / "jobcore" if driver == "core" else _DRIVERS / driver) / path
        return source.read_text("utf-8").count(self.old) == 1

    def __str__(self) -> str:
        return f"{self.driver}/{self.name}"


@contextmanager
def planted(driver: str, folder: Path, mutant: Mutant | None = None) -> Iterator[ModuleType]:
    """Import a copy of a driver's package, made in `folder`, with a mutant's bug or with none.

    The copy has a name of its own, so that it shares nothing with the driver: no module, no cached script.
    """
    name = f"planted_{driver}_{next(_serial)}"
    shutil.copytree(_DRIVERS / driver, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    if mutant:
        change(folder / name / mutant.file.partition("/")[2], mutant.old, mutant.new)
    for source in (folder / name).rglob("*.py"):
        source.write_text(source.read_text("utf-8").replace(f"jobcore.backends.{driver}", name), "utf-8")
    sys.path.insert(0, str(folder))
    try:
        yield import_module(name)
    finally:
        sys.path.remove(str(folder))
        for module in [module for module in sys.modules if module.partition(".")[0] == name]:
            del sys.modules[module]


def change(file: Path, old: str, new: str) -> None:
    """Put `new` in the place of `old`. A bug that has lost its place must not pass for one that was planted."""
    text = file.read_text("utf-8")
    assert text.count(old) == 1, f"this stands {text.count(old)} times in {file.name}, not once: {old!r}"
    file.write_text(text.replace(old, new), "utf-8")
