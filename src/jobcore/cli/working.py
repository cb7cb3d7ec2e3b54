"""The command that runs jobs: `worker`."""

import logging
import os
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer

from jobcore.cli import logs, options, secrets
from jobcore.cli.exits import ExitCode
from jobcore.cli.held import Stuck, TellingWorker, tell_left, telling_what_runs
from jobcore.cli.monitoring import begin, names, reach, start, tell_unmade
from jobcore.cli.processes import Pool, Salvage
from jobcore.cli.pulse import Pulse
from jobcore.cli.signals import herald
from jobcore.cli.targets import check_shared, open_queues
from jobcore.monitor import Monitor, new_holder
from jobcore.queue import Queue
from jobcore.shift import SETTLE_SECONDS
from jobcore.worker import Worker

URL_VARIABLE: Final = "JOBCORE_CHILD_URL"
"""Tells child processes what `--url` said: their arguments can be read by others."""

_log: Final = logging.getLogger("jobcore")


@dataclass(frozen=True)
class Settings:
    """What a worker process is told: as given to `worker`, and given by it to its children."""

    targets: list[str]
    url: str | None
    concurrency: int
    limits: dict[str, int]
    lease: float
    poll_interval: float
    grace: float
    prefetch: int | None
    settle_every: float
    monitor: bool
    until_empty: bool
    log_level: logs.Level

    def arguments(self) -> list[str]:
        """Arguments that give the same settings to a child process, which leaves monitoring to its parent."""
        flags = ["--no-monitor", *(["--until-empty"] if self.until_empty else [])]
        flags += ["--url", f"env:{URL_VARIABLE}"] if self.url else []
        flags += [f"--prefetch={self.prefetch}"] if self.prefetch else []
        flags += [f"--limit={name}={number}" for name, number in self.limits.items()]
        flags += [f"--concurrency={self.concurrency}", f"--log-level={self.log_level}"]
        flags += [f"--{name}={value:f}s" for name, value in self._durations()]
        return ["worker", *self.targets, *flags]

    def _durations(self) -> list[tuple[str, float]]:
        return [
            ("lease", self.lease),
            ("poll-interval", self.poll_interval),
            ("grace", self.grace),
            ("settle-every", self.settle_every),
        ]


def worker(
    queue: options.Targets,
    url: options.Url = None,
    concurrency: Annotated[int, typer.Option(min=1, help="How many jobs may run at once in a process.")] = 16,
    processes: Annotated[
        int | None,
        typer.Option(min=1, help="Run so many worker processes under a parent that replaces those that die."),
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(metavar="QUEUE=N", help="How many of a queue's jobs may run at once in a process."),
    ] = None,
    until_empty: Annotated[bool, typer.Option("--until-empty", help="Leave once nothing is ready or running.")] = False,
    lease: options.Lease = 120.0,
    poll_interval: Annotated[
        float,
        typer.Option(
            parser=options.duration, metavar="TIME", show_default="1m", help="Between looks at a quiet queue."
        ),
    ] = 60.0,
    grace: Annotated[
        float,
        typer.Option(
            parser=options.duration,
            metavar="TIME",
            show_default="30s",
            help="How long running jobs are waited for at a stop.",
        ),
    ] = 30.0,
    prefetch: Annotated[
        int | None,
        typer.Option(
            min=1,
            show_default="what starts within 50ms",
            help="How many jobs are held for each hand, the one that runs included: with 1, none waits here.",
        ),
    ] = None,
    settle_every: Annotated[
        float,
        typer.Option(
            parser=options.duration,
            metavar="TIME",
            show_default="3ms",
            help="How long a finished job waits for others, to be settled with them; 0: not at all.",
        ),
    ] = SETTLE_SECONDS,
    monitor: Annotated[
        bool, typer.Option("--monitor/--no-monitor", help="Bring back the jobs of workers that died.")
    ] = True,
    log_level: options.LogLevel = logs.Level.INFO,
    holder: Annotated[str | None, typer.Option(hidden=True)] = None,
    lifeline: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Run the jobs of some queues.

    The first SIGTERM or Ctrl-C stops claiming and waits for running jobs, the second leaves at once.
    """
    limits = dict(options.limit(text) for text in limit or ())
    settings = Settings(
        queue,
        url,
        concurrency,
        limits,
        lease,
        poll_interval,
        grace,
        prefetch,
        settle_every,
        monitor,
        until_empty,
        log_level,
    )
    begin(url, log_level)
    with open_queues(queue, url) as queues:
        if lifeline is None:  # else the parent has said so
            tell_unmade(queues)
        code = _supervise(queues, settings, processes) if processes else _work(queues, settings, holder, lifeline)
    raise typer.Exit(code)


def _work(queues: Sequence[Queue[Any]], settings: Settings, holder: str | None, lifeline: int | None) -> int:
    """Be a worker, in this process; returns its exit code."""
    stuck = Stuck()
    holder = holder or new_holder()
    working = TellingWorker(
        *queues,
        concurrency=settings.concurrency,
        limits=settings.limits,
        lease=settings.lease,
        poll_interval=settings.poll_interval,
        grace=settings.grace,
        prefetch=settings.prefetch,
        settle_every=settings.settle_every,
        monitor=settings.monitor,
        on_event=stuck,
        holder=holder,
        replaceable=lifeline is not None,
    )
    _log.info("running jobs of %s, %d at once, as %s", names(queues), settings.concurrency, holder)
    pulse = Pulse(working, settings.lease, lifeline)
    with herald() as working.say:
        if lifeline is not None:
            threading.Thread(target=_stop_with_parent, args=(lifeline, working), daemon=True).start()
        pulse.start()
        try:
            with telling_what_runs(working.running) if settings.until_empty else nullcontext():
                working.run(until_empty=settings.until_empty)
        finally:
            pulse.stop()
    tell_left(working.held(), settings.lease, parent=lifeline is not None)
    _log.info("stopped")
    return ExitCode.STUCK if stuck else ExitCode.DONE


def _supervise(queues: Sequence[Queue[Any]], settings: Settings, processes: int) -> int:
    """Be the parent of worker processes; returns its exit code."""
    reach(queues)
    check_shared(queues)
    url = secrets.given_url(settings.url)
    environment = {**os.environ, **({URL_VARIABLE: url} if url else {})}
    command = [sys.executable, "-m", "jobcore", *settings.arguments()]
    salvage = Salvage(Monitor(*queues, lease=settings.lease).recover)
    with ExitStack() as stack:
        if settings.monitor:  # one for all
            start(Monitor(*queues, lease=settings.lease), stack)
        pool = Pool(processes, command, environment, salvage, lease=settings.lease, until_empty=settings.until_empty)
        return pool.run()


def _stop_with_parent(lifeline: int, working: Worker) -> None:
    """Stop gracefully when the pipe from the parent ends: then the parent is gone, however it went."""
    with suppress(ConnectionResetError):  # it ended without having heard all
        os.read(lifeline, 1)
    _log.warning("the parent process is gone")
    working.stop()
