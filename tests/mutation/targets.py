"""What is mutated, and the tests that are to notice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

TOP: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Target:
    """Modules, and the tests that say what they do.

    Attributes:
        modules: the files, by the names that they are imported under.
        tests: files of tests, from the top of the project.
        deselect: words of names of tests that are left out: random ones, and those that only take their time.
    """

    modules: dict[str, str]
    tests: tuple[str, ...]
    deselect: tuple[str, ...] = ()

    @property
    def selection(self) -> str:
        """It as pytest's `-k`."""
        return " and ".join(f"not {word}" for word in self.deselect)


TARGETS: Final = {
    "memory": Target(
        {
            "jobcore.backends.memory": "src/backends/memory/__init__.py",
            "jobcore.backends.memory.backend": "src/backends/memory/backend.py",
            "jobcore.backends.memory.job": "src/backends/memory/job.py",
            "jobcore.backends.memory.jobs": "src/backends/memory/jobs.py",
            "jobcore.backends.memory.line": "src/backends/memory/line.py",
        },
        ("tests/drivers/test_memory.py",),
        ("any_history", "whatever_happens", "at_once", "work_does_not_grow", "all_come_out"),
    ),
    "run": Target(
        {"jobcore.run": "src/jobcore/run.py"},
        (
            "tests/core/test_run.py",
            "tests/core/test_task.py",
            "tests/core/test_functions.py",
            "tests/core/test_job.py",
            "tests/core/test_broken.py",
            "tests/core/test_timeouts.py",
            "tests/core/test_leases.py",
        ),
        ("reaches_neither", "late_leaves", "half_of_its_hands", "extension", "a_stuck_job"),
    ),
    "monitor": Target(
        {"jobcore.monitor": "src/jobcore/monitor.py", "jobcore.recovery": "src/jobcore/recovery.py"},
        (
            "tests/core/test_monitor.py",
            "tests/core/test_broken.py",
            "tests/core/test_deploys.py",
            "tests/core/test_lonely.py",
            "tests/core/test_away.py",
        ),
    ),
}
