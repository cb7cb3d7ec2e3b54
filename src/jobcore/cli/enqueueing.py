"""The command `enqueue`."""

import sys
from typing import Annotated, Any

import msgspec
import typer

from jobcore.backend import Confined
from jobcore.cli import options, output
from jobcore.cli.targets import open_queues
from jobcore.codec import JobType, Undecodable
from jobcore.errors import InvalidArgument


def enqueue(
    queue: options.Target,
    job: Annotated[str, typer.Argument(metavar="JOB", help="The job's name.", show_default=False)],
    args: Annotated[
        str, typer.Argument(metavar="ARGS", help="Its fields, as a JSON object; - reads them from stdin.")
    ] = "{}",
    url: options.Url = None,
    delay: Annotated[
        float | None, typer.Option(parser=options.duration, metavar="TIME", help="Run it so much later.")
    ] = None,
    run_at: Annotated[
        str | None, typer.Option(metavar="TIME", help="Run it from then on: ISO 8601 with a time zone.")
    ] = None,
    priority: Annotated[int, typer.Option(min=-100, max=100, help="Higher runs first.")] = 0,
    id: Annotated[str | None, typer.Option(help="If a job has this id, nothing is stored.")] = None,
    json: options.Json = False,
) -> None:
    """Store a job, once it is sure that its fields fit, and print its id."""
    when = None if run_at is None else options.moment(run_at)
    with open_queues([queue], url) as (found,):
        value = _decoded(found.registry.named(job), sys.stdin.read() if args == "-" else args)
        (pushed,) = found.enqueue_many(
            [value], delay=delay, run_at=when, priority=priority, ids=None if id is None else [id]
        )
        backend = found.backend  # the one of --url, which is the queue's until here
    if json:
        output.print_json({"queue": found.name, **msgspec.structs.asdict(pushed)})
        return
    output.console().print(pushed.id)
    if isinstance(backend, Confined):
        output.say(f"the job ends with this command: its queue is kept in {backend.confined()}")
    if not pushed.created:
        output.say(f"nothing was stored: this id is {pushed.state or 'remembered'} already")


def _decoded(type: JobType, args: str) -> Any:
    try:
        msgspec.json.decode(args)  # first, so that what is no JSON at all is said to be none
        return type.decode(args.encode())
    except Undecodable as error:
        raise InvalidArgument(error.reason) from None
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"{type.name}: the fields are no JSON, as '{{\"to\": 3}}' is: {error}") from None
