"""Mutants whose change lies in a function: its code is replaced after tests were collected, which is quick."""

from __future__ import annotations

import ast
import gc
import sys
import time
import types
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Final, TypeAlias

import pytest
from _pytest.runner import runtestprotocol
from coverage import Coverage

from mutation.mutants import Mutant
from mutation.targets import TOP
from mutation.trial import in_a_child

Reached: TypeAlias = dict[tuple[str, int], list[int]]
"""Which tests pass through a line of a file, the quickest first."""

_SCOUTING: Final = 900.0


class Inside:
    """A plugin of pytest: in the place of a run of the tests there is one for each mutant.

    Args:
        mutants: what to try.
        tell: told of each mutant, and of what became of it.
    """

    def __init__(self, mutants: Sequence[Mutant], tell: Callable[[Mutant, str], None]) -> None:
        self._mutants = mutants
        self._tell = tell

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Find out which tests pass where, then try each mutant with those that pass through it."""
        files = {mutant.module: str(sys.modules[mutant.module].__file__) for mutant in self._mutants}
        reached = ast.literal_eval(
            in_a_child(lambda: _reached(session.items, {each.file for each in self._mutants}), _SCOUTING)
        )
        if isinstance(reached, str):
            raise pytest.UsageError(reached)
        functions = _functions(set(files.values()))
        for mutant in self._mutants:
            lines = {(mutant.file, line) for line in mutant.statement}
            near = dict.fromkeys(index for line in lines for index in reached.get(line, ()))
            self._tell(mutant, _try(mutant, functions, files[mutant.module], [session.items[index] for index in near]))
        return True


def _try(mutant: Mutant, functions: Functions, file: str, items: Sequence[pytest.Item]) -> str:
    def trial() -> str:
        for name, code in _codes(compile(mutant.source, file, "exec")):
            for function in functions.get((file, name), ()):
                function.__code__ = code
        return next((f"killed by {item.nodeid}" for item in items if not _passes(item)), "survived")

    return in_a_child(trial) or "timed out"


def _passes(item: pytest.Item) -> bool:
    return all(report.passed or report.skipped for report in runtestprotocol(item, log=False, nextitem=None))


def _reached(items: Sequence[pytest.Item], files: Collection[str]) -> str:
    """A `Reached`, as text."""
    paths = {file: str(TOP / file) for file in files}
    coverage = Coverage(data_file=None, include=list(paths.values()), config_file=False)
    coverage.start()
    took = {}
    for index, item in enumerate(items):
        coverage.switch_context(str(index))
        begun = time.monotonic()
        if not _passes(item):
            return repr(f"{item.nodeid} fails without any change")
        took[index] = time.monotonic() - begun
    coverage.stop()
    data = coverage.get_data()
    return repr(
        {
            (file, line): sorted((int(each) for each in contexts if each), key=took.__getitem__)
            for file, path in paths.items()
            for line, contexts in data.contexts_by_lineno(path).items()
        }
    )


Functions: TypeAlias = dict[tuple[str, str], list[types.FunctionType]]


def _functions(files: set[str]) -> Functions:
    """The functions of some files, by file and qualified name."""
    found: Functions = {}
    for each in gc.get_objects():
        if isinstance(each, types.FunctionType) and each.__code__.co_filename in files:
            found.setdefault((each.__code__.co_filename, each.__code__.co_qualname), []).append(each)
    return found


def _codes(code: types.CodeType) -> Iterator[tuple[str, types.CodeType]]:
    for each in code.co_consts:
        if isinstance(each, types.CodeType):
            yield each.co_qualname, each
            yield from _codes(each)
