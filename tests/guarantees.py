"""Tries each store that can be started here by the suite, and writes what came of it to docs/guarantees.md.

    python tests/guarantees.py [--runs N] [--only WORD] [URL …]

Each run draws other histories. What runs came to is kept in build/guarantees, and the page tells of all of them;
--fresh forgets those that were made before.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from msgspec import Struct, json

from jobcore.conformance.laws import all_laws
from jobcore.conformance.rendering import notes_of
from jobcore.conformance.verdict import Status, Verdict

from servers import postgres

TOP: Final = Path(__file__).parents[1]
KEPT: Final = TOP / "build" / "guarantees"
PAGE: Final = TOP / "docs" / "guarantees.md"

_INTRODUCTION: Final = """\
# What each store was found to keep

Written by `make guarantees`, from runs of the [conformance suite](drivers.md#the-verdict) on servers of its own; what
the laws say stands in [semantics](semantics.md); those without a number are its fixed details. *passed*: nothing was
found that breaks it. *variant*: what the store does not offer was checked in another way, told below. *measured*: its
work was counted from outside.

"""

Runs: TypeAlias = Mapping[str, Sequence[Verdict]]
"""What each run of a store came to, the last one last, by the store's name."""


class Store(NamedTuple):
    """A store, or some that are tried by one run of pytest."""

    arguments: list[str]
    settings: Mapping[str, str] = {}


class Document(Struct):
    """What `--verdict-json` writes."""

    status: Status
    verdicts: list[Verdict]


def main() -> int:
    """Run what is asked for, and write the page. Returns 1 if a run found something wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("urls", nargs="*", metavar="URL", help="further stores, which are scratch ones")
    parser.add_argument("--runs", type=int, default=1, metavar="N", help="how often each is tried; 0 writes the page")
    parser.add_argument("--only", default="", metavar="WORD", help="only stores with this word in their name")
    parser.add_argument("--fresh", action="store_true", help="forget earlier runs")
    asked = parser.parse_args()
    if asked.fresh:
        shutil.rmtree(KEPT, ignore_errors=True)
    KEPT.mkdir(parents=True, exist_ok=True)
    codes = [
        _run(name, store)
        for _ in range(asked.runs)
        for name, store in _stores(asked.urls).items()
        if asked.only in name
    ]
    runs = _all_runs()
    PAGE.write_text("\n".join(_page(runs)) + "\n", "utf-8")
    sys.stderr.write(f"{sum(map(len, runs.values()))} runs are told in {PAGE.relative_to(TOP)}\n")
    return int(any(codes))


def _stores(urls: Sequence[str]) -> dict[str, Store]:
    suites = {"memory": ["TestMemory"], "sqlite": ["TestSqlite"], "redis": ["TestRedis"]}
    ours = {name: Store(_classes(name, classes)) for name, classes in suites.items()}
    for version in postgres.versions():
        settings = {"JOBCORE_TEST_POSTGRES_VERSION": f"{version}"}
        ours[f"postgres {version}"] = Store(_classes("postgres", ["TestPrepared", "TestThroughPoolers"]), settings)
    suite = TOP / "tests" / "conformance" / "test_backend.py"
    return ours | {url: Store([str(suite), f"--backend-url={url}"]) for url in urls}


def _classes(driver: str, names: Sequence[str]) -> list[str]:
    return [f"{TOP}/tests/drivers/test_{driver}.py::{name}" for name in names]


def _run(name: str, store: Store) -> int:
    """Run the suite once, and keep the verdict."""
    at = f"{datetime.now(UTC):%Y%m%d%H%M%S%f}"
    sys.stderr.write(f"{name} …\n")
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", *store.arguments]
    done = subprocess.run(
        [*command, f"--verdict-json={KEPT / at}.json"],
        cwd=TOP, env=os.environ | store.settings, stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    sys.stderr.write(done.stdout if done.returncode else f"{done.stdout.splitlines()[-1]}\n")
    return done.returncode


def _all_runs() -> Runs:
    runs = defaultdict[str, list[Verdict]](list)
    for file in sorted(KEPT.glob("*.json")):
        for verdict in json.decode(file.read_bytes(), type=Document).verdicts:
            runs[verdict.name].append(verdict)
    return {name: runs[name] for name in sorted(runs, key=str.casefold)}


def _page(runs: Runs) -> Iterator[str]:
    yield from _INTRODUCTION.splitlines()
    yield from _table(runs)
    yield ""
    yield "## Runs"
    yield "Each run draws other histories; `make flakes` makes twenty of each store."
    yield ""
    yield "| store | runs | with failures | tests a run | histories in all | seconds a run (median) |"
    yield "|---|---|---|---|---|---|"
    yield from (_sums(name, verdicts) for name, verdicts in runs.items())
    for name, verdicts in runs.items():
        yield from ("", f"## {name}", *_told(verdicts[-1]))


def _table(runs: Runs) -> Iterator[str]:
    yield "| store | passed | what did not simply pass, and what came of that |"
    yield "|---|---|---|"
    laws = {law.name: f"{law.number or ''} {law.name}".strip() for law in all_laws().values()}
    for name, verdicts in runs.items():
        found = {finding.law.name: finding.status.value for finding in verdicts[-1].findings}
        rest = defaultdict[str, list[str]](list)
        for law, title in laws.items():
            rest[found.get(law, "not tried")].append(title)
        passed = len(rest.pop(Status.PASSED.value, ()))
        told = "; ".join(f"*{status}*: {', '.join(titles)}" for status, titles in rest.items())
        yield f"| {name} | {passed} of {len(laws)} | {told} |"


def _sums(name: str, verdicts: Sequence[Verdict]) -> str:
    failed = sum(verdict.status is Status.FAILED for verdict in verdicts)
    tests = sum(finding.tests for finding in verdicts[-1].findings)
    histories = sum(verdict.examples for verdict in verdicts)
    seconds = statistics.median(verdict.seconds for verdict in verdicts)
    return f"| {name} | {len(verdicts)} | {failed} | {tests} | {histories:,} | {seconds:.0f} |"


def _told(verdict: Verdict) -> Iterator[str]:
    yield from (f"* {what}: {name}" for what, name in verdict.subject.items())
    yield f"* last run: {verdict.run.at}, drawn from the seed {verdict.run.seed}"
    yield from (f"* law {note}" for note in notes_of(verdict))


if __name__ == "__main__":
    sys.exit(main())
