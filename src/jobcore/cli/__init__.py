"""The command line. Importing this loads neither typer nor rich: `main` does."""

from __future__ import annotations


def main() -> None:
    """Run `jobcore` with the arguments of this process, and exit with a code of `jobcore.cli.exits`."""
    from jobcore.cli.app import app
    from jobcore.cli.output import written

    with written():
        app(prog_name="jobcore")
