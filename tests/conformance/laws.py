"""Which law a test checks: the class of the suite that it stands in says so, in its name and its docstring."""

from __future__ import annotations

import re
from functools import cache
from inspect import getdoc
from typing import Final

from msgspec import Struct

_NUMBER: Final = re.compile(r"Law(\d+)")
_WORDS: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")


class Law(Struct, frozen=True):
    """A law, or a fixed detail.

    Attributes:
        number: 1 to 13; None for a fixed detail, and for the histories that try all laws at once.
        name: one to three words.
        sentence: what it says.
    """

    number: int | None
    name: str
    sentence: str

    def __str__(self) -> str:
        return self.name if self.number is None else f"law {self.number}, {self.name}"


@cache
def all_laws() -> dict[str, Law]:
    """All laws in the order of their numbers, then the fixed details, each under the name of its class."""
    from jobcore.conformance.suite import BackendSuite

    found = {part.__name__: _law(part) for part in reversed(BackendSuite.__bases__)}
    return dict(sorted(found.items(), key=lambda pair: pair[1].number or 100))


def law_of(suite: type | None, test: str) -> str | None:
    """The class that a suite has a test from; None if it is a test of the driver's own."""
    from jobcore.conformance.suite import BackendSuite

    home = next((part for part in getattr(suite, "__mro__", ()) if test in vars(part)), object)
    laws = (law.__name__ for law in BackendSuite.__bases__ if issubclass(law, home))
    return None if home is object else next(laws, None)


def _law(part: type) -> Law:
    name = _WORDS.sub(" ", _NUMBER.sub("", part.__name__)).capitalize()
    sentence = " ".join((getdoc(part) or "").split())
    numbered = _NUMBER.match(part.__name__)
    if numbered is None:
        return Law(None, name, sentence)
    return Law(int(numbered[1]), name, sentence.partition(". ")[2].removeprefix(f"{name}. "))
