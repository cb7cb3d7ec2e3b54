"""A trial: the suite's tests of one law, run on a planted driver until the first that fails."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from inspect import isfunction
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from jobcore.conformance import suite
from mutants.stores import Store

_SUITE: Final = Path(suite.__file__).parent
_SUBJECT: Final = Path(__file__).with_name("subject.py")
_ARGUMENTS: Final = [
    str(_SUBJECT),
    "--exitfirst",
    "--import-mode=importlib",
    f"--rootdir={_SUBJECT.parents[1]}",
    "--config-file",
    os.devnull,  # a driver must not fall by our filters for warnings
    *[f"-pno:{plugin}" for plugin in ("terminal", "cacheprovider", "faulthandler", "unraisableexception", "benchmark")],
]


class Verdict(NamedTuple):
    """What came of a trial.

    Attributes:
        tests: how many tests were run.
        killer: the test that failed, and with it the trial ended; None if all passed.
        noticed: whether the suite saw something wrong, rather than a driver or a set-up that broke down.
        failure: what it said.
        seconds: how long it took.
    """

    tests: int
    killer: str | None
    noticed: bool
    failure: str
    seconds: float


def tried(law: type, open: Callable[[], Store]) -> Verdict:
    """Run the tests of a law, each on a store that `open` gives."""
    began = time.monotonic()
    observer = _Observer(law, open)
    pytest.main(_ARGUMENTS, plugins=[observer])
    return Verdict(observer.tests, observer.killer, observer.noticed, observer.failure, time.monotonic() - began)


class _Observer:
    """A plugin of the trial's own pytest: chooses the tests, gives them stores, and sees them fail."""

    def __init__(self, law: type, open: Callable[[], Store]) -> None:
        self._law = law
        self._open = open
        self.tests = 0
        self.killer: str | None = None
        self.noticed = False
        self.failure = ""

    @pytest.fixture
    def store(self) -> Iterator[Store]:
        store = self._open()
        yield store
        store.close()

    @pytest.hookimpl(tryfirst=True)
    def pytest_pycollect_makeitem(self, name: str, obj: object) -> list[pytest.Item] | None:
        """Leave out all functions but those that the law's class has."""
        return [] if isfunction(obj) and not hasattr(self._law, name) else None

    def pytest_runtest_setup(self) -> None:
        self.tests += 1

    def pytest_exception_interact(self, node: Any, call: pytest.CallInfo[Any], report: Any) -> None:
        if self.killer:  # what is torn down after a failure may fail too
            return
        assert call.excinfo
        self.killer = node.name
        self.noticed = report.when == "call" and _from_suite(call.excinfo)
        self.failure = str(report.longrepr)


def _from_suite(failure: pytest.ExceptionInfo[BaseException]) -> bool:
    """Whether the suite's own code raised it. A driver that raises has broken down: that proves no law."""
    return failure.errisinstance(pytest.fail.Exception) or failure.traceback[-1].path.parent == _SUITE
