"""A plugin in place of pytest's own output: a bar while the suite runs, and the verdict at its end."""

from __future__ import annotations

import sys
from typing import Final

import pytest
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from jobcore.conformance import rendering
from jobcore.conformance.laws import all_laws, law_of
from jobcore.conformance.recorder import Recorder

_COLUMNS: Final = (TextColumn("{task.description:<24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())


class Bar:
    """The bar, on stderr if that is a terminal, and the verdict, on stdout."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._progress = Progress(*_COLUMNS, console=console, transient=True, disable=not console.is_terminal)
        self._broken = False
        self._task: TaskID = self._progress.add_task("collecting", total=None)

    def pytest_sessionstart(self) -> None:
        """Show it."""
        self._progress.start()

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Tell why the suite can't be loaded: nobody else would."""
        if report.failed:
            self._broken = True
            sys.stderr.write(f"Error: the suite can't be loaded: {report.longreprtext}\n")

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Know how long it is."""
        self._progress.update(self._task, total=len(session.items))

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Name what is tried."""
        law = law_of(getattr(item, "cls", None), getattr(item, "originalname", item.name))
        if law:
            self._progress.update(self._task, description=str(all_laws()[law]))

    def pytest_runtest_teardown(self) -> None:
        """Go on by one."""
        self._progress.advance(self._task)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Print the verdict."""
        self._progress.stop()
        if self._broken:  # pytest would say that somebody interrupted it
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
        recorder = session.config.pluginmanager.get_plugin("jobcore-verdict")
        if isinstance(recorder, Recorder):
            for verdict in recorder.verdicts:
                print(rendering.as_text(verdict))  # noqa: T201 -- this plugin stands in for pytest's terminal


def pytest_configure(config: pytest.Config) -> None:
    """Take the place of pytest's terminal."""
    config.pluginmanager.register(Bar(), "jobcore-progress")
