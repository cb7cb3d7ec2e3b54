"""All figures that have a goal, each beside what it is compared with, in one run.

    python benchmarks/run.py [drain] [bulk] … [--store redis] [--rounds 5] [--scale 0.1] [--json FILE]

What counts is the ratio of both sides, taken in turns in one run: speeds depend on the machine and what else it does.
A figure is a median of the rounds; its quartiles stand beside it. Exits with 0 whether or not goals are reached.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from measure import STORES, Bench, Row
from rich.console import Console
from rich.table import Table

PARTS = (
    "drain", "processes", "enqueue", "producers", "gathered", "bulk", "latency", "depth", "room", "sleepers", "mixed",
    "load",
)  # fmt: skip
PACKAGES = ("jobcore-queue", "redis", "psycopg", "SQLAlchemy", "msgspec")


def main() -> None:
    """Measure, and tell."""
    options = parsed()
    screen = Console(width=max(130, Console().width))  # a table that wraps is no table
    bench = Bench(options.store or STORES, options.rounds, options.scale)
    found: list[Row] = []
    try:
        for part in options.parts or known():
            with screen.status(f"{part} …"):
                for row in import_module(part).rows(bench):
                    found.append(row)
                    screen.print(line(row))
    finally:
        bench.close()
    screen.print(table(found))
    if options.json:
        Path(options.json).parent.mkdir(exist_ok=True)
        Path(options.json).write_text(
            json.dumps({"machine": machine(), "rows": [told(row) for row in found]}, indent=1)
        )


def known() -> list[str]:
    """The parts that are here."""
    return [part for part in PARTS if hasattr(import_module(part), "rows")]


def parsed() -> argparse.Namespace:
    """The command's arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"what to measure: {', '.join(PARTS)}; else all")
    parser.add_argument("--store", action="append", choices=STORES, help="where; may be repeated; else everywhere")
    parser.add_argument("--rounds", type=int, default=5, help="how often each side is measured (5)")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies all numbers of jobs (1)")
    parser.add_argument("--json", metavar="FILE", help="write all figures there, round by round")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    return options


def line(row: Row) -> str:
    """A row as it is found."""
    return f"{row.store:9} {row.name}: {row.value:.2f} ({row.goal}){'' if row.met else '  missed'}"


def table(rows: Sequence[Row]) -> Table:
    """All rows."""
    table = Table(
        "store", "what", "ours", "bare", "figure", "quartiles", "goal", "reached", title=", ".join(machine().values())
    )
    for row in rows:
        low, high = row.spread
        table.add_row(
            row.store,
            row.name,
            f"{median(row.ours):,.4g} {row.unit}",
            f"{median(bare):,.4g}" if (bare := row.bare or row.beside) else "",
            f"{row.value:.2f}",
            f"{low:.2f} to {high:.2f}",
            str(row.goal),
            "yes" if row.met else "NO",
        )
    return table


def told(row: Row) -> dict[str, Any]:
    """A row for programs."""
    return {
        "store": row.store, "what": row.name, "unit": row.unit,
        "ours": [*row.ours], "bare": [*(row.bare or row.beside)], "points": row.points,
        "value": row.value, "quartiles": row.spread, "goal": str(row.goal), "reached": row.met,
    }  # fmt: skip


def machine() -> dict[str, str]:
    """Where it was measured, and with what."""
    packages = {name: f"{name} {version(name)}" for name in PACKAGES}
    return {"python": f"Python {platform.python_version()}", "cores": f"{os.cpu_count()} cores"} | packages


if __name__ == "__main__":
    main()
