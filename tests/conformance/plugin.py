"""The suite's options for pytest, and the verdict at the end of its runs."""

from __future__ import annotations

import secrets
from typing import Final

import pytest

STORE_AWAY: Final = 6
"""The exit code of a run that found no store, or lost it: pytest's own end with 5."""

_ASKING: Final = ("backend_url", "verdict_json", "verdict_markdown", "verdict_badge")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("jobcore", "conformance of jobcore's drivers")
    group.addoption(
        "--backend-url",
        metavar="URL",
        help="run jobcore.conformance on the store of this URL: a scratch one, as what is made there is destroyed; "
        "env:NAME reads it from that variable",
    )
    group.addoption("--verdict-json", metavar="PATH", help="write the verdict as JSON")
    group.addoption("--verdict-markdown", metavar="PATH", help="write the verdict as Markdown")
    group.addoption("--verdict-badge", metavar="PATH", help="write the verdict as an SVG badge")
    group.addoption(
        "--conformance-law",
        metavar="N",
        type=int,
        choices=range(1, 14),
        action="append",
        default=[],
        help="try this law only, of 1 to 13; repeatable",
    )
    group.addoption("--conformance-seed", metavar="N", type=int, help="draw all that is random as the run of this seed")
    group.addoption(
        "--conformance-quick", action="store_true", help="try one case of each test, and few random histories"
    )
    group.addoption(
        "--conformance-thorough",
        metavar="SECONDS",
        type=float,
        default=0.0,
        help="go on with rounds of random histories for so long",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Draw the one seed that all tests draw theirs from, and collect a verdict where one is asked for."""
    if config.getoption("conformance_seed") is None:
        config.option.conformance_seed = secrets.randbelow(1 << 32)
    if config.getoption("backend_url"):
        _check_store(config.getoption("backend_url"))
    if any(config.getoption(option) for option in _ASKING):
        from jobcore.conformance.recorder import Recorder

        config.pluginmanager.register(Recorder(config), "jobcore-verdict")


def _check_store(option: str) -> None:
    """End the run before it begins, where each test would only say again that there is no store to try."""
    from jobcore.cli.scratch import check_store
    from jobcore.cli.secrets import given_url, without_passwords
    from jobcore.errors import ConfigurationError, JobcoreError

    try:
        check_store(given_url(option) or "")
    except ConfigurationError as error:
        raise pytest.UsageError(without_passwords(str(error))) from error
    except JobcoreError as error:
        pytest.exit(without_passwords(f"the store can't be used: {error}"), returncode=STORE_AWAY)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is not to be tried; tests that are none of the suite's stay."""
    laws, quick = config.getoption("conformance_law"), config.getoption("conformance_quick")
    if not laws and not quick:
        return
    from jobcore.conformance.selecting import chosen

    kept = chosen(items, laws, quick=quick)
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Say so if the store went away: failures then say nothing of the driver."""
    url = session.config.getoption("backend_url")
    if url and session.testsfailed:
        from jobcore.cli.scratch import is_away
        from jobcore.cli.secrets import given_url

        if is_away(given_url(url) or ""):
            session.exitstatus = STORE_AWAY
