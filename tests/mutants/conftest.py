"""Prints the table of what was killed by what."""

from __future__ import annotations

from typing import Final

import pytest

BOUNDS: Final = {"memory": 5.0}
"""Seconds that a mutant of a driver should take to die; more are said, and do no harm."""


@pytest.fixture(autouse=True)
def as_in_a_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """There pytest explains what failed to the last difference, and mutants must die in good time all the same."""
    monkeypatch.setenv("CI", "true")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows = [
        dict(report.user_properties)
        for report in terminalreporter.getreports("passed")
        if report.when == "call" and report.fspath.startswith("tests/mutants/")
    ]
    rows = [row for row in rows if "mutant" in row]
    if not rows:
        return
    terminalreporter.section(f"{len(rows)} mutants, each killed by its law")
    for row in rows:
        terminalreporter.line("{mutant}: {bug}".format_map(row))
        late = row["seconds"] > BOUNDS.get(row["mutant"].partition("/")[0], 15.0)
        terminalreporter.line("    killed by {law}: {killer}, {seconds:.1f} s".format_map(row) + " (late)" * late)
