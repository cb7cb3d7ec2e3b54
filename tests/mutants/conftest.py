"""Prints the table of what was killed by what."""

from __future__ import annotations

import pytest


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
        terminalreporter.line("    killed by {law}: {killer}, {seconds:.1f} s".format_map(row))
