"""The suite's option for pytest."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--backend-url`."""
    parser.getgroup("jobcore").addoption(
        "--backend-url",
        help="run jobcore.conformance on the store of this URL: a scratch one, as what is made there is destroyed",
    )
