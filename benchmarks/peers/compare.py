"""Our worker beside other job queues, on the same servers and in turns.

    python benchmarks/peers/compare.py [taskiq] [pgqueuer] … [--rounds 5] [--scale 1] [--json FILE]

Each rival is a program of its own in this folder, `with_NAME.py`, whose head says what it needs and with which settings
it runs; it has an environment of its own in build/peers, made at first use. A round runs ours, the bare loop over our
driver and each rival on that store: the program enqueues no-op jobs in an empty store, and then works on them in one
process until it is killed. A job notes when it starts, in memory that the runner sees. A speed is that from the first
start to the last; what counts is the ratio of ours to theirs in a round. Those that can enqueue many jobs a call note
how long that takes. A rival that can't be set up or does not run
is told with the reason.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from side import HERE, SCRATCH, Side, Unable, install, known, measure

sys.path.insert(0, str(HERE.parent))

from measure import Bench, Row, at_least
from run import machine

OURS: Final = {"redis": 20_000, "postgres": 10_000, "sqlite": 10_000}
"""How many jobs our worker is given; the slower rivals are given fewer."""
GOALS: Final = {"redis": 12.0, "postgres": 2.0, "sqlite": 1.0}
"""How many times as fast as a rival that runs the jobs of a dead worker again."""


def compare(sides: Sequence[Side], rounds: int, scale: float, screen: Console) -> None:
    """Run all in turns, and keep their speeds; a side in trouble is left out from then on."""
    bench = Bench(list(OURS), rounds, scale)
    with Progress(console=screen) as bar:
        task = bar.add_task("", total=rounds * len(sides))
        try:
            for _ in range(rounds):
                for side in sides:
                    bar.update(task, description=side.name, advance=1)
                    attempt(side, bench)
        finally:
            bench.close()


def attempt(side: Side, bench: Bench) -> None:
    """One round of one side."""
    if side.trouble:
        return
    try:
        if side.needs:
            install(side)
        measure(side, bench.url(side.store), bench.jobs(side.jobs))
    except Unable as reason:
        side.trouble = str(reason)


def own(store: str) -> list[Side]:
    """Our worker, and the bare loop over its driver."""
    return [
        Side("jobcore", store, OURS[store]),
        Side("bare", store, OURS[store], "claim 100, settle 100; runs nothing"),
    ]


def ours_first(rivals: Sequence[Side]) -> list[Side]:
    """The sides of a round: on each store ours, then its rivals."""
    stores = dict.fromkeys(side.store for side in rivals)
    return [side for store in stores for side in (*own(store), *(each for each in rivals if each.store == store))]


def rows(sides: Sequence[Side]) -> Iterator[tuple[Side, Row]]:
    """Each rival that ran, and ours against it."""
    ours = {side.store: side.speeds for side in sides if side.name == "jobcore"}
    for side in sides:
        if side.name != "jobcore" and side.speeds:
            yield side, Row(side.name, ours[side.store], side.speeds, at_least(GOALS[side.store]), store=side.store)


def table(sides: Sequence[Side]) -> Table:
    """What was found."""
    found = Table("store", "rival", "run again", "settings", "jobs/s", "ours", "ours / theirs", "quartiles", "goal")
    for side, row in rows(sides):
        low, high = row.spread
        found.add_row(
            side.store,
            side.title,
            "yes" if side.again else "no",
            side.settings,
            f"{median(side.speeds):,.0f}",
            f"{median(row.ours):,.0f}",
            f"{row.value:.2f}",
            f"{low:.2f} to {high:.2f}",
            f"{row.goal}, {'reached' if row.met else 'MISSED'}" if side.needs and side.again else "",
        )
    return found


def enqueues(sides: Sequence[Side]) -> Table:
    """What those came to that can enqueue many jobs a call."""
    ours = {side.store: side.enqueued for side in sides if side.name == "jobcore"}
    found = Table("store", "rival", "enqueued/s, many a call", "ours", "ours / theirs", "quartiles", "goal")
    for side in sides:
        if side.name != "jobcore" and side.enqueued:
            row = Row(side.name, ours[side.store], side.enqueued, at_least(1))
            low, high = row.spread
            found.add_row(
                side.store,
                side.title,
                f"{median(row.bare):,.0f}",
                f"{median(row.ours):,.0f}",
                f"{row.value:.2f}",
                f"{low:.2f} to {high:.2f}",
                f"{row.goal}, {'reached' if row.met else 'MISSED'}",
            )
    return found


def told(side: Side) -> dict[str, Any]:
    """A side for programs."""
    return {"name": side.name, "title": side.title, "store": side.store, "needs": [*side.needs], "jobs": side.jobs,
            "settings": side.settings, "again": side.again, "speeds": side.speeds, "enqueued": side.enqueued,
            "trouble": side.trouble}  # fmt: skip


def parsed() -> argparse.Namespace:
    """The command's arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rivals", nargs="*", metavar="RIVAL", help=f"whom: {', '.join(known())}; else all")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (5)")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies all numbers of jobs (1)")
    parser.add_argument("--json", metavar="FILE", help="write all figures there, round by round")
    options = parser.parse_args()
    if unknown := set(options.rivals) - set(known()):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(known())}")
    return options


def main() -> None:
    """Measure, and tell."""
    options, screen = parsed(), Console(width=max(170, Console().width))
    SCRATCH.mkdir(parents=True, exist_ok=True)
    sides = ours_first([known()[name] for name in options.rivals or known()])
    compare(sides, options.rounds, options.scale, screen)
    screen.print(table(sides), enqueues(sides))
    for side in sides:
        if side.trouble:
            screen.print(f"{side.name}: {side.trouble}", markup=False)
    if options.json:
        Path(options.json).write_text(
            json.dumps({"machine": machine(), "sides": [told(side) for side in sides]}, indent=1)
        )


if __name__ == "__main__":
    main()
