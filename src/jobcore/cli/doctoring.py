"""The command `doctor`: what a store guarantees, and what is amiss, before something is lost."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.text import Text

from jobcore.backend import Backend, Diagnoses, Finding, Level, Refused
from jobcore.cli import options, output
from jobcore.cli.exits import ExitCode
from jobcore.cli.secrets import without_passwords
from jobcore.cli.targets import all_queues, open_queue, open_store, tell_if_unheard, unmade_yet
from jobcore.doctor import examine_queue, examine_store, worst
from jobcore.errors import ConfigurationError
from jobcore.queue import Queue

_STYLES: Final = {Level.OK: "green", Level.NOTE: "cyan", Level.WARNING: "yellow", Level.DANGER: "bold red"}

Told = tuple[str, Finding]
"""Where something was found (the store, or a queue's name), and what."""


def doctor(
    target: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="URL|QUEUE",
            help="A store (env:NAME reads its URL from that variable), and queues as module:attribute, whose "
            "jobs are then decoded, or by name. Without queues: all that the store has.",
            show_default=False,
        ),
    ] = None,
    url: options.Url = None,
    fail_on: Annotated[Level, typer.Option("--fail-on", help="Exit with 1 from this level on.")] = Level.WARNING,
    json: options.Json = False,
) -> None:
    """Say what a store guarantees, and what is amiss in its queues, with what mends it. Only looks."""
    urls = [text for text in target or () if _is_url(text)]
    targets = [text for text in target or () if not _is_url(text)]
    if len(urls) + bool(url) > 1:
        raise ConfigurationError("one store at a time: there are two URLs")
    with ExitStack() as stack:
        found = list(_examine(stack, targets, urls[0] if urls else url))
    level = worst(finding for _, finding in found)
    if json:
        told = [{"where": where, **msgspec.structs.asdict(finding)} for where, finding in found]
        output.print_json({"level": level, "findings": told})
    else:
        _print(found, level)
    raise typer.Exit(ExitCode.FAILED if level.weight >= fail_on.weight else ExitCode.DONE)


def _is_url(text: str) -> bool:
    return "://" in text or text.startswith("env:")


def _examine(stack: ExitStack, targets: Sequence[str], url: str | None) -> Iterator[Told]:
    """The stores' findings first, then those of each queue."""
    queues = [stack.enter_context(open_queue(target, url)) for target in targets]
    backends = list({id(queue.backend): queue.backend for queue in queues}.values()) or [open_store(stack, url)]
    for backend in backends:
        yield from (("store", finding) for finding in examine_store(backend))
    known = {queue.name for queue, target in zip(queues, targets, strict=True) if ":" in target}
    try:
        for queue in queues if targets else _queues_of(backends[0]):
            if unmade_yet(queue.backend):
                continue  # it holds nothing, and some are made by counting that
            tell_if_unheard(queue)
            yield from ((queue.name, finding) for finding in examine_queue(queue, decode=queue.name in known))
    except Refused as error:  # as to who may only push: what was found of the store stands
        yield (
            "store",
            Finding(Level.NOTE, "queues", f"they can't be looked at: {error}", "how their jobs fare is not known here"),
        )


def _queues_of(backend: Backend) -> list[Queue[Any]]:
    return all_queues(backend) if isinstance(backend, Diagnoses) else []


def _print(found: Sequence[Told], level: Level) -> None:
    """One line each, and below it what follows and what mends it, where something has to be done."""
    screen = output.console()
    width = max((len(f"{where}: {finding.about}") for where, finding in found), default=0)
    for where, finding in found:
        head = Text(f"{finding.level.upper():8}", style=_STYLES[finding.level])
        screen.print(head + Text(f"{where}: {finding.about}".ljust(width + 2)) + _text(finding.found), soft_wrap=True)
        for label, text in (("so", finding.consequence), ("do", finding.remedy)):
            if text:
                screen.print(Text(" " * 10 + f"{label}: ", style="dim") + _text(text), soft_wrap=True)
    output.say(_SUMMARY[level])


_SUMMARY: Final = {
    Level.OK: "Nothing is amiss.",
    Level.NOTE: "Nothing is amiss; there are notes.",
    Level.WARNING: "There are warnings: in some circumstances jobs can be lost, late or refused.",
    Level.DANGER: "There is danger: jobs are being lost, late or refused, or will be by the next ordinary mishap.",
}


def _text(value: Any) -> Text:
    return Text(without_passwords(str(value)))
