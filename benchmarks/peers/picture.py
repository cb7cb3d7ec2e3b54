"""The picture of a comparison: jobs a second by store, on a logarithmic scale, with the quartiles of the rounds.

python benchmarks/peers/picture.py FIGURES.json PICTURE.svg
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

WIDTH: Final = 960
LEFT: Final = 250
RIGHT: Final = 90
BAR: Final = 16
LINE: Final = 22
LEAST: Final = 10.0
"""Where the scale begins, in jobs a second."""
COLOURS: Final = {"jobcore": "#2471a3", "bare": "#aab7b8", "again": "#1e8449", "lost": "#d68910"}
LEGEND: Final = (
    ("jobcore", "jobcore"),
    ("bare", "bare loop"),
    ("again", "jobs of a dead worker run again"),
    ("lost", "they do not by themselves"),
)


def picture(sides: Sequence[Mapping[str, Any]]) -> str:
    """An SVG with a group of bars for each store."""
    measured = [side for side in sides if side["speeds"]]
    most = max(max(side["speeds"]) for side in measured)
    scale = (WIDTH - LEFT - RIGHT) / math.log10(most / LEAST)
    parts, y = [*legend()], 30.0
    for store in dict.fromkeys(side["store"] for side in measured):
        group = sorted((side for side in measured if side["store"] == store), key=lambda side: -median(side["speeds"]))
        parts.append(text(10, y + 16, store, weight="bold"))
        for number, side in enumerate(group):
            parts += bar(side, y + 4 + LINE * number, scale)
        y += LINE * len(group) + 18
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y:.0f}" font-family="sans-serif"'
    return "\n".join([f'{head} font-size="12" fill="#333">', f'<rect width="{WIDTH}" height="100%" fill="#fff"/>',
                      *parts, "</svg>", ""])  # fmt: skip


def bar(side: Mapping[str, Any], y: float, scale: float) -> Iterator[str]:
    """One side: its name, its median, and a line from quartile to quartile."""
    x = [LEFT + max(0.0, math.log10(value / LEAST) * scale) for value in quartered(side["speeds"])]
    name = "jobcore" if side["name"] == "jobcore" else "bare loop" if side["name"] == "bare" else side["title"]
    yield text(LEFT - 8, y + 12, name, "end")
    yield f'<rect x="{LEFT}" y="{y:.0f}" width="{x[1] - LEFT:.1f}" height="{BAR}" fill="{COLOURS[kind(side)]}"/>'
    yield f'<path d="M{x[0]:.1f} {y + BAR / 2:.0f}H{x[2]:.1f}" stroke="#333" stroke-width="1.5"/>'
    yield text(max(x) + 6, y + 12, f"{median(side['speeds']):,.0f}")


def legend() -> Iterator[str]:
    """What the colours mean, and the unit."""
    for number, (colour, meaning) in enumerate(LEGEND):
        x = 150 + 190 * number
        yield f'<rect x="{x}" y="8" width="12" height="12" fill="{COLOURS[colour]}"/>'
        yield text(x + 18, 18, meaning)
    yield text(10, 18, "jobs a second", weight="bold")


def kind(side: Mapping[str, Any]) -> str:
    """Which colour."""
    return side["name"] if side["name"] in COLOURS else "again" if side["again"] else "lost"


def quartered(values: Sequence[float]) -> list[float]:
    """The lower quartile, the median and the upper one."""
    return quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3


def text(x: float, y: float, words: str, anchor: str = "start", weight: str = "normal") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">{words}</text>'


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    Path(sys.argv[2]).write_text(picture(json.loads(Path(sys.argv[1]).read_text())["sides"]))
