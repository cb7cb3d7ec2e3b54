"""The commands that only look: `status`, `list`, `show`, `debug`."""

import time
from contextlib import ExitStack
from typing import Annotated

import msgspec
import typer

from jobcore.backend import State
from jobcore.cli import entries, options, output
from jobcore.cli.exits import ExitCode
from jobcore.cli.targets import all_queues, check_there, open_store, open_stored, tell_if_unheard
from jobcore.debug import debugger


def status(
    queue: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="QUEUE",
            help="module:attribute, as in app.tasks:mail, or a name; none: all that the store has.",
            show_default=False,
        ),
    ] = None,
    url: options.Url = None,
    json: options.Json = False,
) -> None:
    """Count the jobs of queues, by state."""
    with ExitStack() as stack:
        if queue:
            queues = [stack.enter_context(open_stored(target, url)) for target in queue]
        else:
            store = open_store(stack, url)
            check_there(store)
            queues = all_queues(store)
        counted = [{"queue": each.name, **msgspec.structs.asdict(each.counts())} for each in queues]
        if json:
            output.print_json({"queues": counted})
            return
        if counted:
            output.print_table(list(counted[0]), [list(row.values()) for row in counted])
        else:
            output.say("the store holds no jobs")
        for each, row in zip(queues, counted, strict=True):
            if not any(row[state] for state in State):
                tell_if_unheard(each)


def list_(
    queue: options.AnyTarget,
    state: Annotated[
        State,
        typer.Argument(metavar="STATE", help="Ready jobs are listed as they would run, finished ones newest first."),
    ],
    url: options.Url = None,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 20,
    after: Annotated[str | None, typer.Option(metavar="CURSOR", help="Go on after a page before this one.")] = None,
    json: options.Json = False,
) -> None:
    """List the jobs in a state."""
    with open_stored(queue, url) as found:
        page = found.entries(state, limit, after)
        if json:
            listed = [entries.document(entry) for entry in page.entries]
            output.print_json({"queue": found.name, "state": state, "entries": listed, "next": page.next})
            return
        columns, now = entries.columns_of(state), _now()
        rows = [[cell(entry, now) for _, cell in columns] for entry in page.entries]
        output.print_table([name for name, _ in columns], rows)
        if not rows and not tell_if_unheard(found):
            output.say(f"no job of queue {found.name!r} is {state.replace('_', ' ')}")
    if page.next is not None:
        output.say(f"there are more: --after '{page.next}'")


def show(queue: options.AnyTarget, id: options.Id, url: options.Url = None, json: options.Json = False) -> None:
    """Show all that is known of one job."""
    with open_stored(queue, url) as found:
        entry = found.find(id)
        if entry is None:
            output.say(f"queue {found.name!r} has no job {id!r}; a job that succeeded is gone unless it is to be kept")
            tell_if_unheard(found)
            raise typer.Exit(ExitCode.FAILED)
    if json:
        output.print_json(entries.document(entry))
    else:
        output.print_pairs(entries.in_full(entry, _now()))


def debug(
    queue: options.AnyTarget,
    url: options.Url = None,
    interval: Annotated[
        float, typer.Option(parser=options.duration, metavar="TIME", show_default="1s", help="Between looks.")
    ] = 1.0,
) -> None:
    """Print a queue's counts and its first jobs, again and again, until Ctrl-C."""
    with open_stored(queue, url) as found:
        debugger(found, interval, write=typer.echo)


def _now() -> int:
    return time.time_ns() // 1000
