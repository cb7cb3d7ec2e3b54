"""The command `conformance`: the suite on the store of a URL, for people who don't know pytest."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final

import typer

from jobcore.cli import options
from jobcore.cli.exits import ExitCode
from jobcore.cli.scratch import check_store
from jobcore.cli.secrets import given_url
from jobcore.errors import ConfigurationError

_CODES: Final = {0: ExitCode.DONE, 2: ExitCode.INTERRUPTED, 4: ExitCode.USAGE, 6: ExitCode.UNAVAILABLE}
"""What pytest, and the suite's plugin for it, end in; anything else means that the driver did not pass."""

_File = Path | None


def conformance(
    url: Annotated[
        str,
        typer.Argument(
            metavar="URL",
            help="A scratch store: what is made there is destroyed. env:NAME reads it from that variable.",
            show_default=False,
        ),
    ],
    law: Annotated[
        list[int] | None, typer.Option(metavar="N", min=1, max=13, help="Try this law only; repeatable.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="One case of each test, few random histories.")] = False,
    thorough: Annotated[
        float,
        typer.Option(
            parser=options.duration, metavar="TIME", help="Try random histories for so long.", show_default=False
        ),
    ] = 0.0,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Draw random histories from this seed.")] = None,
    json: Annotated[_File, typer.Option(metavar="PATH", help="Write the verdict as JSON.")] = None,
    markdown: Annotated[_File, typer.Option(metavar="PATH", help="Write the verdict as Markdown.")] = None,
    badge: Annotated[_File, typer.Option(metavar="PATH", help="Write the verdict as an SVG badge.")] = None,
) -> None:
    """Try a driver by all laws, and say which it keeps. Exits with 1 if it breaks one, 3 if the store is away."""
    package = _suite()
    files = {"json": json, "markdown": markdown, "badge": badge}
    options.check_files(*files.values())
    check_store(given_url(url) or "")
    arguments = [f"--backend-url={given_url(url)}", f"--conformance-thorough={thorough}"]
    arguments += [f"--conformance-law={number}" for number in law or []]
    arguments += ["--conformance-quick"] * quick
    arguments += [f"--conformance-seed={seed}"] * (seed is not None)
    arguments += [f"--verdict-{kind}={path.absolute()}" for kind, path in files.items() if path]
    raise typer.Exit(_CODES.get(_run(package, arguments), ExitCode.FAILED))


def _suite() -> Path:
    """Where the suite is: pytest is to load it, so that failing asserts show their values."""
    package = find_spec("jobcore.conformance") if find_spec("pytest") and find_spec("hypothesis") else None
    if package is None or package.origin is None:
        raise ConfigurationError('the suite needs more than is installed: pip install "jobcore-queue[conformance]"')
    return Path(package.origin).parent


def _run(suite: Path, arguments: list[str]) -> int:
    """Have pytest run the suite, and nothing of what is configured for tests where we are."""
    import pytest

    surroundings = [f"--rootdir={suite}", f"--config-file={os.devnull}", "--import-mode=importlib"]
    plugins = ["-pno:terminal", "-pno:cacheprovider", "-pno:faulthandler", "-pjobcore.conformance.progress"]
    return pytest.main([str(suite / "test_backend.py"), *surroundings, *plugins, *arguments])
