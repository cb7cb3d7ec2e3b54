"""Collects what came of the suite's tests, and tells the verdict."""

from __future__ import annotations

from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from jobcore.cli.secrets import without_passwords
from jobcore.conformance import rendering
from jobcore.conformance.again import command
from jobcore.conformance.effort import Effort
from jobcore.conformance.laws import law_of
from jobcore.conformance.subject import surroundings
from jobcore.conformance.verdict import Case, Run, Status, Verdict, judge

KEY: Final = "jobcore.conformance"
"""The property of a test's report that holds what the verdict needs to know: reports travel, items don't."""


class Recorder:
    """A pytest plugin, there while a verdict is asked for."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        seed = config.getoption("conformance_seed")
        self._run = Run(
            at=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            asked=config.getoption("conformance_law"),
            seed=seed,
            command=command(seed),
        )
        self._cases: dict[str, dict[str, Case]] = {}
        self._subjects: dict[str, dict[str, str]] = {}

    @property
    def verdicts(self) -> list[Verdict]:
        """One for each store that was tested."""
        return [
            judge(name, self._subjects.get(name, {}) | surroundings(), [*cases.values()], self._run)
            for name, cases in self._cases.items()
        ]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Write on a report which law it is about, and what was tested."""
        report = yield
        law = law_of(getattr(item, "cls", None), getattr(item, "originalname", item.name))
        if law:
            report.user_properties.append((KEY, {"law": law, "test": item.name, **self._about(item, report)}))
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what came of a test: it has up to three reports, of which the worst counts."""
        told: dict[str, Any] = dict(report.user_properties)
        if about := told.get(KEY):
            cases = self._cases.setdefault(about["name"], {})
            before = cases.get(report.nodeid)
            cases[report.nodeid] = _case(report, told, before)
            self._subjects.setdefault(about["name"], {}).update(about["subject"])

    def pytest_sessionfinish(self) -> None:
        """Write the files that were asked for."""
        for option, render in (
            ("verdict_json", rendering.as_json),
            ("verdict_markdown", lambda verdicts: rendering.as_markdown(verdicts).encode()),
            ("verdict_badge", lambda verdicts: rendering.as_badge(verdicts).encode()),
        ):
            if path := self._config.getoption(option):
                Path(path).write_bytes(render(self.verdicts))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the verdicts."""
        for verdict in self.verdicts:
            terminalreporter.section("conformance")
            terminalreporter.write_line(rendering.as_text(verdict))

    def _about(self, item: pytest.Item, report: pytest.TestReport) -> dict[str, Any]:
        """What is tested, asked only once: a store need not be asked for its version before each test."""
        harness = getattr(item, "funcargs", {}).get("harness")
        name = getattr(harness, "name", None) or item.nodeid.rpartition("::")[0]
        if harness and report.when == "call" and not self._subjects.get(name):
            self._subjects[name] = harness.describe()
        return {"name": name, "subject": self._subjects.get(name, {})}


def _case(report: pytest.TestReport, told: dict[str, Any], before: Case | None) -> Case:
    case = Case(
        law=told[KEY]["law"],
        test=told[KEY]["test"],
        status=_status(report, told),
        seconds=report.duration,
        message=message_of(report),
        note=told.get("note", ""),
        examples=told.get("examples", 0),
    )
    if before is None:
        return case
    worse = max(case, before, key=lambda one: [*Status].index(one.status))
    return msgspec.structs.replace(worse, seconds=before.seconds + case.seconds)


def _status(report: pytest.TestReport, told: dict[str, Any]) -> Status:
    if report.failed:
        return Status.FAILED
    return Status.INCOMPLETE if report.skipped else Status(told.get("verdict", Status.PASSED))


def message_of(report: pytest.TestReport) -> str:
    """Why a test failed: what was raised, without the way to it."""
    crash = getattr(report.longrepr, "reprcrash", None)
    message = str(crash.message if crash else report.longrepr or "")
    return without_passwords(message.removeprefix("Failed: "))  # by pytest.fail, which says all there is to say


def effort_of(config: pytest.Config) -> Effort:
    """How much this run is to try."""
    return Effort(
        seed=config.getoption("conformance_seed", 0),
        examples=5 if config.getoption("conformance_quick", False) else None,
        seconds=config.getoption("conformance_thorough", 0),
    )
