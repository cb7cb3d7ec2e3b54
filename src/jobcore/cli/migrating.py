"""The command `migrate`: make a store's tables, or bring them up to date, where their owner wants to see to it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from jobcore.backend import Migrates
from jobcore.binding import VARIABLE
from jobcore.cli import output
from jobcore.cli.exits import ExitCode
from jobcore.cli.secrets import given_url
from jobcore.connect import open_backend
from jobcore.errors import ConfigurationError


def migrate(
    url: Annotated[
        str | None,
        typer.Argument(
            metavar="URL",
            help=f"The store; env:NAME reads its URL from that variable, and by default it is in {VARIABLE}.",
            show_default=False,
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether steps are missing: then exit with 1.")
    ] = False,
    sql: Annotated[bool, typer.Option("--sql", help="Only print the SQL that takes what is missing.")] = False,
    since: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="STEP", help="With --sql: all steps after this one (0: all), without asking the store."
        ),
    ] = None,
) -> None:
    """Make a store's tables, or bring them up to date; a queue does so itself at its first use, if it may."""
    if check and sql:
        raise ConfigurationError("--check and --sql exclude each other")
    if since is not None and not sql:
        raise ConfigurationError("--since says what --sql prints: add --sql")
    with _open(given_url(url) or os.environ.get(VARIABLE)) as store:
        if sql:
            typer.echo(store.script(since), nl=False)
        elif check:
            _check(store)
        else:
            _migrate(store)


@contextmanager
def _open(url: str | None) -> Iterator[Migrates]:
    if not url:
        raise ConfigurationError(f"which store? Name its URL, or set {VARIABLE}")
    backend = open_backend(url)
    try:
        if not isinstance(backend, Migrates):
            scheme = url.partition("://")[0]
            raise ConfigurationError(f"{scheme}:// needs no migration: what it stores jobs in is made at the first use")
        yield backend
    finally:
        backend.close()


def _check(store: Migrates) -> None:
    missing = store.missing()
    for step in missing:
        typer.echo(f"missing: {step}")
    if missing:
        raise typer.Exit(ExitCode.FAILED)
    typer.echo("up to date")


def _migrate(store: Migrates) -> None:
    with output.console(err=True).status("Taking the missing steps ..."):
        taken = store.migrate()
    for step in taken:
        typer.echo(f"taken: {step}")
    typer.echo("up to date")
