"""The commands, put together."""

from importlib.metadata import version as version_of
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from jobcore.cli import (
    conformance,
    doctoring,
    enqueueing,
    looking,
    migrating,
    monitoring,
    operating,
    output,
    proving,
    working,
)
from jobcore.cli.exits import code_of
from jobcore.cli.secrets import without_passwords
from jobcore.errors import JobcoreError


class _Commands(TyperGroup):
    """Ends jobcore's own errors in a line and an exit code; any other in a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except JobcoreError as error:
            output.say(without_passwords(f"Error: {error}"))
            raise typer.Exit(code_of(error)) from error


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # they show local variables, which may hold secrets
    help="Run, watch and mend queues of jobs. Exit codes: 0 done, 1 failed or some refused, 2 usage, "
    "3 store unavailable, 4 not known whether it was done, 5 a worker left stuck jobs, 130 interrupted.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"jobcore {version_of('jobcore-queue')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Options that stand before any command."""


_GROUPS: Final = {
    "Work": (working.worker, monitoring.monitor, enqueueing.enqueue),
    "Look": (looking.status, looking.list_, looking.show, looking.debug),
    "Mend": (operating.redrive, operating.remove, operating.destroy),
    "Stores": (doctoring.doctor, migrating.migrate, conformance.conformance, proving.prove),
}
for _group, _commands in _GROUPS.items():
    for _command in _commands:
        app.command(_command.__name__.rstrip("_"), rich_help_panel=_group)(_command)
