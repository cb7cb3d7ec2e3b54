"""The commands that only look: `status`, `list`, `show`, `debug`."""

from contextlib import ExitStack

import msgspec

from jobcore.cli import options, output
from jobcore.cli.targets import open_queue


def status(queue: list[str], url: options.Url = None, json: options.Json = False) -> None:
    """Count the jobs of queues, by state."""
    with ExitStack() as stack:
        queues = [stack.enter_context(open_queue(target, url)) for target in queue]
        counted = [{"queue": each.name, **msgspec.structs.asdict(each.counts())} for each in queues]
    if json:
        output.print_json({"queues": counted})
        return
    columns = list(counted[0])
    output.print_table("", columns, [list(row.values()) for row in counted], right=columns[1:])
