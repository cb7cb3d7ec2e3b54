"""Pictures of what was measured: cost against depth, how soon an idle worker starts a job, and others beside ours.

    python benchmarks/pictures.py FIGURES.json … FOLDER

Each FIGURES.json is what `benchmarks/run.py` or `benchmarks/peers/compare.py` wrote by `--json`; the pictures that
there are figures for are written to the folder.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import Patch

COLOURS: Final = {"memory": "#7f8c8d", "sqlite": "#d68910", "redis": "#b03a2e", "postgres": "#2471a3"}
SIDES: Final = {
    "jobcore": ("#2471a3", "jobcore"),
    "bare": ("#aab7b8", "bare loop over our driver"),
    "again": ("#1e8449", "jobs of a dead worker run again"),
    "lost": ("#d68910", "they do not by themselves"),
}

Told = Mapping[str, Any]
"""A row or a side, as its benchmark told it."""


def main() -> None:
    """Draw what there are figures for."""
    *given, folder = sys.argv[1:]
    if not given:
        sys.exit(__doc__)
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "jobcore", "font.family": "sans-serif"})
    mpl.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False})
    for file in given:
        for name, figure in drawn(json.loads(Path(file).read_text())).items():
            figure.savefig(Path(folder) / f"{name}.svg", metadata={"Date": None})


def drawn(figures: Mapping[str, Sequence[Told]]) -> dict[str, Figure]:
    """The pictures of one file."""
    rows = [row for row in figures.get("rows", ()) if row["points"]]
    sides = [side for side in figures.get("sides", ()) if side["speeds"]]
    deep = [row for row in rows if row["what"].startswith("depth")]
    prompt = [row for row in rows if row["what"].startswith("latency") and row["what"].endswith("p50")]
    given = ("depth", depth, deep), ("latency", latency, prompt), ("peers", peers, sides)
    return {name: draw(told) for name, draw, told in given if told}


def depth(rows: Sequence[Told]) -> Figure:
    """What a job costs, push, claim and settle together, by how many are queued: medians and quartiles."""
    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    for row in rows:
        depths = [int(each) for each in row["points"]]
        low, middle, high = zip(*map(quartered, row["points"].values()), strict=True)
        axes.plot(depths, middle, marker="o", color=COLOURS[row["store"]], label=row["store"])
        axes.fill_between(depths, low, high, color=COLOURS[row["store"]], alpha=0.15, linewidth=0)
    axes.set(xscale="log", xlabel="jobs queued", ylabel="µs a job: pushed, claimed, settled, 100 a call")
    axes.set_ylim(bottom=0)
    figure.legend(ncols=len(rows), loc="outside upper center")
    return figure


def latency(rows: Sequence[Told]) -> Figure:
    """How many jobs an idle worker in another process started how soon after the call that enqueued them began."""
    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    most = max(quantiles(row["points"]["ms"], n=100)[-1] for row in rows)
    for row in rows:
        taken = row["points"]["ms"]
        label = f"{row['store']}, median {median(taken):.2f} ms"
        axes.hist(taken, bins=80, range=(0, most), color=COLOURS[row["store"]], alpha=0.6, label=label)
    axes.set(xlabel="milliseconds from the call that enqueues to the job's first line", ylabel="jobs")
    axes.legend()
    return figure


def peers(sides: Sequence[Told]) -> Figure:
    """Jobs a second by store, fastest first, on a logarithmic scale; a line from quartile to quartile."""
    stores = dict.fromkeys(side["store"] for side in sides)
    groups = [sorted((side for side in sides if side["store"] == store), key=speed) for store in stores]
    heights = [len(group) for group in groups]
    figure, parts = plt.subplots(
        len(groups), figsize=(9, 0.36 * sum(heights) + 1.5), sharex=True, height_ratios=heights, squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for axes, store, group in zip(parts[:, 0], stores, groups, strict=True):
        names = [side["title"] if side["needs"] else side["name"] for side in group]
        lines = [
            [speed(side) - low, high - speed(side)] for side in group for low, _, high in [quartered(side["speeds"])]
        ]
        bars = axes.barh(
            [*range(len(group))], [speed(side) for side in group], color=[SIDES[kind(side)][0] for side in group],
            xerr=[*zip(*lines, strict=True)], tick_label=names, error_kw={"elinewidth": 1.2},
        )  # fmt: skip
        axes.bar_label(bars, [f"{speed(side):,.0f}" for side in group], padding=6)
        axes.set(xscale="log", xlim=(10, 3 * max(map(speed, sides))), title=store)
    parts[-1, 0].set_xlabel("jobs a second")
    figure.legend(
        handles=[Patch(color=colour, label=label) for colour, label in SIDES.values()],
        ncols=4,
        loc="outside upper center",
    )
    return figure


def kind(side: Told) -> str:
    """What a side's colour tells."""
    return "again" if side["needs"] and side["again"] else "lost" if side["needs"] else side["name"]


def speed(side: Told) -> float:
    """The median of its rounds."""
    return float(median(side["speeds"]))


def quartered(values: Sequence[float]) -> list[float]:
    """The lower quartile, the median and the upper one."""
    return quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3


if __name__ == "__main__":
    main()
