"""The commands that change what is stored: `redrive`, `remove`, `destroy`."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, TypeAlias

import typer
from rich.progress import Progress

from jobcore.backend import REDRIVABLE, Answer, State
from jobcore.cli import options, output
from jobcore.cli.exits import ExitCode
from jobcore.cli.targets import open_stored, tell_if_unheard
from jobcore.errors import InvalidArgument
from jobcore.queue import Queue

_PAGE: Final = 500
Verb: TypeAlias = Callable[[Sequence[str]], list[Answer]]


def redrive(
    queue: options.AnyTarget,
    ids: options.Ids = None,
    url: options.Url = None,
    all: Annotated[bool, typer.Option("--all", help="All that have failed, timed out or are broken.")] = False,
    state: Annotated[list[State] | None, typer.Option(help="All that are in this state; may be repeated.")] = None,
    json: options.Json = False,
) -> None:
    """Make failed, timed out and broken jobs ready again, their attempts counted anew."""
    states = sorted(REDRIVABLE) if all else state or []
    if not REDRIVABLE.issuperset(states):
        raise InvalidArgument(f"only jobs that are {', '.join(sorted(REDRIVABLE))} can be redriven")
    with open_stored(queue, url) as found:
        _report(found, _apply(found, found.redrive, ids, states), "it has not failed", json=json)


def remove(
    queue: options.AnyTarget,
    ids: options.Ids = None,
    url: options.Url = None,
    state: Annotated[list[State] | None, typer.Option(help="All that are in this state; may be repeated.")] = None,
    yes: options.Yes = False,
    json: options.Json = False,
) -> None:
    """Take jobs out of the store; running ones are refused."""
    if State.RUNNING in (state or []):
        raise InvalidArgument("running jobs can't be removed: wait for them, or stop their workers")
    with open_stored(queue, url) as found:
        if state:
            counts = found.counts()
            held = output.counted(sum(getattr(counts, each) for each in state), "job")
            _ask(f"Remove {held} of queue {found.name!r}?", yes=yes)
        _report(found, _apply(found, found.remove, ids, state or []), "it is running", json=json)


def destroy(queue: options.AnyTarget, url: options.Url = None, yes: options.Yes = False) -> None:
    """Remove everything of a queue at once: jobs in any state, running ones too, and remembered ids."""
    with open_stored(queue, url) as found:
        counts = found.counts()
        total = sum(getattr(counts, state) for state in State)
        held = output.counted(total, "job")
        if not total:
            tell_if_unheard(found)
        _ask(f"Destroy queue {found.name!r}, with {held}, {counts.running:,} of them running?", yes=yes)
        found.destroy()
        typer.echo(f"destroyed queue {found.name!r}, which held {held}")


@dataclass
class _Outcome:
    """What became of a batch: how many were done, and which were refused, and why."""

    done: int = 0
    refused: list[tuple[str, Answer]] = field(default_factory=list)

    def add(self, ids: Sequence[str], answers: Sequence[Answer]) -> None:
        self.done += answers.count(Answer.DONE)
        self.refused += [pair for pair in zip(ids, answers, strict=True) if pair[1] is not Answer.DONE]


def _apply(queue: Queue[Any], verb: Verb, ids: Sequence[str] | None, states: Sequence[State]) -> _Outcome:
    """Apply a verb to the jobs that were named, or else to all in some states."""
    if bool(ids) == bool(states):
        raise InvalidArgument("say which: either their ids, or all those in some state (--state failed)")
    outcome = _Outcome()
    if ids:
        outcome.add(ids, verb(ids))
        return outcome
    for page in _pages(queue, states):
        outcome.add(page, verb(page))
    if not outcome.done:
        tell_if_unheard(queue)
    outcome.refused.clear()  # nobody named these: since they were listed, they have moved or are gone
    return outcome


def _pages(queue: Queue[Any], states: Sequence[State]) -> Iterator[list[str]]:
    """The ids in some states, page by page, with a progress bar on a terminal."""
    screen = output.console(err=True)
    with Progress(console=screen, disable=not screen.is_terminal, transient=True) as progress:
        for state in states:
            bar = progress.add_task(state.value, total=getattr(queue.counts(), state))
            for ids in _pages_of(queue, state):
                yield ids
                progress.advance(bar, len(ids))


def _pages_of(queue: Queue[Any], state: State) -> Iterator[list[str]]:
    after = None
    while True:
        page = queue.entries(state, _PAGE, after)
        if page.entries:
            yield [entry.id for entry in page.entries]
        after = page.next
        if after is None:
            return


def _report(queue: Queue[Any], outcome: _Outcome, wrong_state: str, *, json: bool) -> None:
    """Say what was done and what was refused, if for its state in these words; raises typer.Exit if anything was."""
    if json:
        refused = [{"id": id, "answer": answer} for id, answer in outcome.refused]
        output.print_json({"queue": queue.name, "done": outcome.done, "refused": refused})
    else:
        typer.echo(f"{outcome.done} done")
        for id, answer in outcome.refused:
            output.say(f"refused: {id} ({wrong_state if answer is Answer.WRONG_STATE else 'there is no such job'})")
    if outcome.refused:
        raise typer.Exit(ExitCode.FAILED)


def _ask(question: str, *, yes: bool) -> None:
    """Go on only if the user says so."""
    if not yes and not _confirm(question):
        output.say("nothing was changed")
        raise typer.Exit(ExitCode.FAILED)


def _confirm(question: str) -> bool:
    try:
        return typer.confirm(question, err=True)
    except typer.Abort:  # nobody is there to answer
        output.say("\nno answer: --yes goes on without asking")
        return False
