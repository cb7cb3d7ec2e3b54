"""The command `prove`: real processes, killed and stopped, on a queue of a store of the user's."""

from __future__ import annotations

import secrets
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Final

import typer

from jobcore.cli import options, output
from jobcore.cli.exits import ExitCode
from jobcore.cli.secrets import given_url
from jobcore.errors import ConfigurationError, JobcoreError
from jobcore.loops import check_positive

if TYPE_CHECKING:
    from jobcore.prove.report import Report
    from jobcore.prove.run import Stage
    from jobcore.prove.settings import Settings

_SEEDS: Final = 2**32
_RESTART_SECONDS: Final = 120.0


def prove(
    url: Annotated[
        str,
        typer.Argument(
            metavar="URL",
            help="The store. Only a queue that is made for this is touched. env:NAME reads it from that variable.",
            show_default=False,
        ),
    ],
    jobs: Annotated[int, typer.Option(min=1, help="How many the store has to take.")] = 2000,
    kills: Annotated[int, typer.Option(min=0, help="How often a worker gets SIGKILL.")] = 8,
    pauses: Annotated[int, typer.Option(min=0, help="How often one is stopped past its lease, and continued.")] = 4,
    cuts: Annotated[int, typer.Option(min=0, help="How often all connections break.")] = 3,
    stalls: Annotated[int, typer.Option(min=0, help="How often nothing gets through for a moment.")] = 3,
    server_kills: Annotated[
        int, typer.Option(min=0, help="How often the server is killed and started again, with --restart-command.")
    ] = 2,
    restart_command: Annotated[
        str | None,
        typer.Option(
            metavar="COMMAND",
            help="Kills the server as a crash would, starts it again and returns once it answers; run without a shell.",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 3,
    producers: Annotated[int, typer.Option(min=1, help="Threads that push.")] = 2,
    concurrency: Annotated[int, typer.Option(min=1, help="How many jobs may run at once in a worker.")] = 8,
    lease: Annotated[
        float, typer.Option(parser=options.duration, metavar="TIME", show_default="2s", help="The workers' lease.")
    ] = 2.0,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Draw faults and jobs from this seed.")] = None,
    queue: Annotated[
        str | None, typer.Option(metavar="NAME", help="An empty queue, in place of a new one of a random name.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the queue as it is at the end.")] = False,
    picture: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Draw faults, speed and depth over time, as SVG.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Kill workers, cut connections, restart the server, and say whether the store lost or confused a job.

    Exits with 1 if it did, or if something is stuck.
    """
    from jobcore.prove.nemesis import Kind
    from jobcore.prove.settings import Settings

    numbers = (kills, pauses, cuts, stalls, server_kills)
    settings = Settings(
        given_url(url) or "",
        queue or f"prove-{secrets.token_hex(4)}",
        jobs,
        dict(zip(Kind, numbers, strict=True)),
        workers,
        producers,
        check_positive("lease", lease),
        concurrency,
        secrets.randbelow(_SEEDS) if seed is None else seed,
        keep,
    )
    options.check_files(picture)
    restart = _restarting(restart_command) if restart_command is not None else None
    report = carry_out(settings, restart, picture)
    if json:
        output.print_json(report.document())
    else:
        tell(report)
    raise typer.Exit(ExitCode.DONE if report.sound else ExitCode.FAILED)


def carry_out(settings: Settings, restart: Callable[[], object] | None, picture: Path | None) -> Report:
    """Do a run and show how it goes on; its journals are kept if it ends badly, and it is said where."""
    from jobcore.prove.picture import picture as drawn
    from jobcore.prove.run import Run

    faults, _ = settings.possible(restarts=restart is not None)
    folder = Path(tempfile.mkdtemp(prefix="jobcore-prove-"))
    sound = False
    try:
        with _unwound_by_sigterm(), _progress(settings.jobs, sum(faults.values())) as tell:
            run = Run(settings, folder, restart=restart, tell=tell)
            report = run.execute()
        if picture:
            picture.write_text(drawn(run.told, report.faults))
        sound = report.sound
    finally:
        if sound:
            shutil.rmtree(folder)
        elif any(folder.iterdir()):
            output.say(f"what each process saw: {folder}")
        else:
            folder.rmdir()
    return report


def tell(report: Report) -> None:
    """Print a report for people."""
    word = "kept its word" if report.sound else "FAILED"
    output.print_pairs([("verdict", f"{report.store}:// {word} (seed {report.seed})"), *report.lines()])


@contextmanager
def _unwound_by_sigterm() -> Iterator[None]:
    """Have SIGTERM clean up as Ctrl-C does: a worker that is stopped just then would stay so for ever."""

    def leave(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _progress(jobs: int, faults: int) -> Iterator[Callable[[Stage], object]]:
    """Show on stderr how far a run has come, of so many jobs and faults."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    screen = output.console(err=True)
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as shown:
        pushed = shown.add_task("jobs acknowledged", total=jobs)
        struck = shown.add_task("faults", total=faults)

        def tell(stage: Stage) -> None:
            shown.update(pushed, completed=stage.pushed)
            shown.update(struck, completed=stage.struck)
            if stage.left is not None:
                shown.update(pushed, description=f"draining, {stage.left} left")

        yield tell


def _restarting(command: str) -> Callable[[], object]:
    """What runs the user's command, which must succeed."""
    words = shlex.split(command)
    if not words:
        raise ConfigurationError("--restart-command is empty")

    def restart() -> None:
        try:
            subprocess.run(  # noqa: S603 -- the user's own command, and no shell
                words, capture_output=True, check=True, text=True, timeout=_RESTART_SECONDS
            )
        except subprocess.CalledProcessError as error:
            said = error.stderr.strip() or "it said nothing"
            raise JobcoreError(f"the restart command ended with {error.returncode}: {said}") from None
        except (OSError, subprocess.TimeoutExpired) as error:
            raise JobcoreError(f"the restart command: {error}") from None

    return restart
