"""Without a URL there is no store to run the suite on."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the suite out of runs that are about something else."""
    return None if config.getoption("--backend-url", default=None) else True
