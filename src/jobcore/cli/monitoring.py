"""The command `monitor`, and what it has in common with `worker`."""

import logging
import threading
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from queue import Empty, SimpleQueue
from typing import Annotated, Any, Final

import typer

from jobcore.backend import BackendError
from jobcore.cli import logs, options, secrets
from jobcore.cli.signals import LOOK_UP, on_stop_signals
from jobcore.cli.targets import open_queues, unmade_yet
from jobcore.monitor import Monitor
from jobcore.queue import Queue

_log: Final = logging.getLogger("jobcore")


def monitor(
    queue: options.Targets,
    url: options.Url = None,
    interval: Annotated[
        float | None,
        typer.Option(parser=options.duration, metavar="TIME", help="Between looks; else a tenth of the lease."),
    ] = None,
    abandon_after: Annotated[
        float,
        typer.Option(
            parser=options.duration,
            metavar="TIME",
            show_default="1d",
            help="A lost job that nobody looked for so long fails.",
        ),
    ] = 86400.0,
    lease: Annotated[
        float,
        typer.Option(
            parser=options.duration,
            metavar="TIME",
            show_default="2m",
            help="How long it holds the jobs that it decides on.",
        ),
    ] = 120.0,
    log_level: options.LogLevel = logs.Level.INFO,
) -> None:
    """Bring back the jobs of workers that died; each worker does so as well unless told not to."""
    begin(url, log_level)
    with open_queues(queue, url) as queues:
        tell_unmade(queues)
        reach(queues)
        told: SimpleQueue[None] = SimpleQueue()
        watch = Monitor(*queues, interval=interval, abandon_after=abandon_after, lease=lease)
        with on_stop_signals(lambda: told.put(None)), ExitStack() as stack:
            start(watch, stack)
            _log.info("monitoring %s", names(queues))
            _await(told)


def _await(told: SimpleQueue[None]) -> None:
    while True:
        with suppress(Empty):
            return told.get(timeout=LOOK_UP)


def begin(url: str | None, log_level: logs.Level) -> None:
    """Set up logging, and warn of what others can read."""
    logs.set_up(log_level)
    if url is not None and secrets.has_password(url):
        _log.warning("others on this machine can read the password of --url in the process list: use --url env:NAME")


def reach(queues: Sequence[Queue[Any]]) -> None:
    """Ask the stores something: a wrong URL is told once and here, not by threads and children again and again.

    Raises:
        ConfigurationError: no backend can be opened.
        BackendError: a store does not answer.
    """
    for queue in queues:
        queue.counts()


def tell_unmade(queues: Sequence[Queue[Any]]) -> None:
    """Say so if a store is still to be made: perhaps another one was meant, and this one stays empty."""
    for queue in queues:
        with suppress(BackendError):  # whoever works there tells of that
            if unmade := unmade_yet(queue.backend):
                _log.warning("%s: %s", queue.name, unmade)


def start(watch: Monitor, stack: ExitStack) -> None:
    """Run a monitor on a thread for as long as the stack stands."""
    thread = threading.Thread(target=watch.run, name="jobcore-monitor", daemon=True)
    thread.start()
    stack.callback(thread.join, 5.0)  # a store that is away does not keep us
    stack.callback(watch.stop)


def names(queues: Sequence[Queue[Any]]) -> str:
    """The queues' names, for people."""
    return ", ".join(queue.name for queue in queues)
