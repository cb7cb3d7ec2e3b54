"""Says how much of each folder the tests reach, from what `coverage json` wrote, and fails if it is too little.

    python tests/covered.py REPORT

Of the core 95 in 100 branches are to be reached, of each driver every line.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import Final

from msgspec import Struct, json

CORE: Final = PurePath("src/jobcore")
CORE_BRANCHES: Final = 0.95


class Summary(Struct, frozen=True):
    """How many lines and branches there are, and how many of them were reached: by coverage's names."""

    num_statements: int = 0
    covered_lines: int = 0
    num_branches: int = 0
    covered_branches: int = 0

    def __add__(self, other: Summary) -> Summary:
        return Summary(*(getattr(self, name) + getattr(other, name) for name in self.__struct_fields__))

    @property
    def lines(self) -> float:
        """The share of lines that was reached; of none, all."""
        return self.covered_lines / self.num_statements if self.num_statements else 1.0

    @property
    def branches(self) -> float:
        """The same of branches."""
        return self.covered_branches / self.num_branches if self.num_branches else 1.0


class File(Struct):
    """What was reached of a file."""

    summary: Summary


class Report(Struct):
    """What `coverage json` writes, as far as it is needed here."""

    files: dict[str, File]


def by_folder(report: Report) -> dict[PurePath, Summary]:
    """What was reached of each folder's own files."""
    folders = defaultdict[PurePath, Summary](Summary)
    for name, file in sorted(report.files.items()):
        folders[PurePath(name).parent] += file.summary
    return folders


def whole_core(folders: Mapping[PurePath, Summary]) -> Summary:
    """What was reached of the core's folders together."""
    return sum((each for folder, each in folders.items() if folder.is_relative_to(CORE)), Summary())


def shortfalls(folders: Mapping[PurePath, Summary]) -> Iterator[str]:
    """What is too little, in words."""
    core = whole_core(folders)
    if core.branches < CORE_BRANCHES:
        yield f"too few branches of the core were reached: {core.branches:.2%}, where {CORE_BRANCHES:.0%} are asked for"
    for folder, each in folders.items():
        if not folder.is_relative_to(CORE) and each.lines < 1:
            yield f"not all lines of {folder} were reached: {each.covered_lines} of {each.num_statements}"


def main() -> int:
    """Print a line for each folder. Returns 1 if something is too little."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folders = by_folder(json.decode(Path(sys.argv[1]).read_bytes(), type=Report))
    for folder, each in [*folders.items(), ("the core", whole_core(folders))]:
        print(f"{folder!s:24} lines {each.lines:7.2%}   branches {each.branches:7.2%}")  # noqa: T201 -- it is asked to
    missing = list(shortfalls(folders))
    print("\n".join(missing) or "That is enough.")  # noqa: T201 -- see above
    return bool(missing)


if __name__ == "__main__":
    sys.exit(main())
