"""`make mutation`: changes the source in small ways, and says which changes no test noticed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

import pytest
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mutation.inside import Inside
from mutation.mutants import Mutant, mutants
from mutation.outside import try_outside
from mutation.targets import TARGETS, TOP, Target

_FOLDER = TOP / "build" / "mutation"


def main(
    target: Annotated[list[str] | None, typer.Option(help="Only these: memory, run, monitor.")] = None,
    part: Annotated[str, typer.Option(help="Only changes `inside` of functions, or `outside`.")] = "",
    only: Annotated[str, typer.Option(help="Only changes of lines that hold this text.")] = "",
) -> None:
    """Try each mutant with the tests that pass through it."""
    chosen = {
        name: [each for each in mutants(TARGETS[name]) if not only or only in each.change] for name in target or TARGETS
    }
    if part != "inside":  # they come first, as jobcore is not to be imported yet
        for name, found in chosen.items():
            _outside(name, [mutant for mutant in found if not mutant.inside])
    if part != "outside":
        for name, found in chosen.items():
            _inside(name, [mutant for mutant in found if mutant.inside])


def _outside(name: str, chosen: Sequence[Mutant]) -> None:
    with _journal(f"{name}, outside", len(chosen)) as tell:
        for mutant in chosen:
            tell(mutant, try_outside(mutant, _arguments(TARGETS[name])))


def _inside(name: str, chosen: Sequence[Mutant]) -> None:
    with _journal(f"{name}, inside", len(chosen)) as tell:
        pytest.main(_arguments(TARGETS[name]), plugins=[Inside(chosen, tell)])


def _arguments(target: Target) -> list[str]:
    return [*target.tests, "-qq", "-p", "no:cacheprovider", "-k", target.selection]


@contextmanager
def _journal(title: str, total: int) -> Iterator[Callable[[Mutant, str], None]]:
    """A progress bar, a file of all verdicts, and at the end a list of what survived."""
    _FOLDER.mkdir(parents=True, exist_ok=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    counts: Counter[str] = Counter()
    lived: list[str] = []
    with (
        (_FOLDER / f"{title.replace(', ', '-')}.jsonl").open("w", buffering=1) as file,
        Progress(*columns, auto_refresh=False) as progress,
    ):
        task = progress.add_task(title, total=total)

        def tell(mutant: Mutant, verdict: str) -> None:
            where = f"{mutant.file}:{mutant.line}"
            file.write(
                json.dumps({"where": where, "change": mutant.change, "by": mutant.operator, "is": verdict}) + "\n"
            )
            counts[verdict.partition(" by ")[0]] += 1
            if verdict == "survived":
                lived.append(f"{where}: {mutant.change}")
            progress.update(task, advance=1, refresh=True)

        yield tell
    Console(soft_wrap=True).print(*lived, f"{title}: {dict(counts)}", sep="\n", markup=False, highlight=False)


if __name__ == "__main__":
    typer.run(main)
