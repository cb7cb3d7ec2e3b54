"""`make fuzz`: millions of inputs, with a progress bar; says how to try again what it finds."""

from __future__ import annotations

import secrets
import sys
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fuzz.hunting import Found, Hunt, hunt
from fuzz.targets import targets
from jobcore.cli.secrets import given_url


def main(
    inputs: Annotated[int, typer.Option(min=1, help="How many inputs to try.")] = 10_000_000,
    seed: Annotated[int | None, typer.Option(min=0, help="What they are made from; else a new one.")] = None,
    first: Annotated[int, typer.Option(min=0, help="The number of the first one, to try it again.")] = 0,
    target: Annotated[str | None, typer.Option(help="Only this one: decode, store or url.")] = None,
    url: Annotated[str, typer.Option(help="The store of the target `store`, or env:NAME.")] = "memory://",
) -> None:
    """Try bytes that nobody meant on all that reads bytes."""
    known = targets(given_url(url) or url)
    if target is not None and target not in known:
        raise typer.BadParameter(f"there is no target {target!r}: there are {', '.join(known)}", param_hint="--target")
    seed = secrets.randbits(32) if seed is None else seed
    total = sum(each.share for each in known.values())
    parts = [known[target]] if target else list(known.values())
    hunts = [Hunt(each, seed, first, inputs if target else -(-inputs * each.share // total)) for each in parts]
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns) as progress:
        for each in hunts:
            task = progress.add_task(f"{each.target.name}, seed {seed}", total=each.inputs)
            for tried in hunt(each):
                progress.advance(task, tried)


if __name__ == "__main__":
    try:
        typer.run(main)
    except Found as found:
        sys.exit(f"{found}")
