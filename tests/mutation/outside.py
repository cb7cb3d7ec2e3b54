"""Mutants whose change lies outside of functions: modules are imported anew with it, and all tests run."""

from __future__ import annotations

import sys
import types
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from typing import Any

import pytest

from mutation.mutants import Mutant
from mutation.trial import in_a_child


class _Loader(SourceFileLoader):
    """Loads a mutant in the place of its module."""

    def __init__(self, mutant: Mutant, path: str) -> None:
        super().__init__(mutant.module, path)
        self._source = mutant.source

    def get_code(self, fullname: str) -> types.CodeType:
        """The mutant, compiled."""
        return compile(self._source, self.path, "exec")


class _Planter(MetaPathFinder):
    """Finds a mutant where its module is asked for."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(self, name: str, path: Sequence[str] | None, target: Any = None) -> ModuleSpec | None:
        """The mutant's, if that is meant."""
        spec = PathFinder.find_spec(name, path) if name == self._mutant.module else None
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(self._mutant, spec.origin)
        return spec


class _First:
    """A plugin of pytest that knows the first test that failed."""

    verdict = "survived"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take it down."""
        if report.failed and self.verdict == "survived":
            self.verdict = f"killed by {report.nodeid}"


def try_outside(mutant: Mutant, arguments: Sequence[str]) -> str:
    """What becomes of a mutant; jobcore must not have been imported here."""

    def trial() -> str:
        sys.meta_path.insert(0, _Planter(mutant))
        first = _First()
        code = pytest.main([*arguments, "-x", "--assert=plain"], plugins=[first])  # else it would load jobcore itself
        return first.verdict if code in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) else "killed by the import"

    return in_a_child(trial) or "timed out"
