"""`jobcore prove` on servers of its own, which keep what they acknowledge, and which it may kill.

    make prove                                      200,000 jobs and 500 faults on Redis, PostgreSQL, SQLite each
    python benchmarks/prove.py redis --jobs 20000 --share 10                        a tenth of it, on one of them

A report and a picture of each go to `--output`: NAME.json and NAME.svg. Exits with 1 if one of them is not sound.
"""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from jobcore.cli.proving import carry_out, tell
from jobcore.prove.nemesis import Kind
from jobcore.prove.settings import Settings

from servers import postgres, redis

FAULTS = {Kind.KILL: 300, Kind.PAUSE: 100, Kind.CUT: 50, Kind.STALL: 30, Kind.SERVER: 20}


@contextmanager
def store(name: str) -> Iterator[tuple[str, Callable[[], object] | None]]:
    """A URL, and what restarts the server behind it, if there is one."""
    if name == "redis":
        with redis.server(config=["--appendonly", "yes", "--appendfsync", "always"]) as running:
            yield running.url, running.restart
    elif name == "postgres":
        with postgres.server(
            fsync="on", full_page_writes="on", synchronous_commit="on", autovacuum="on"
        ) as running_too:
            yield running_too.url, running_too.restart
    else:
        with TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/jobs.db", None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stores", nargs="*", default=["redis", "postgres", "sqlite"])
    parser.add_argument("--jobs", type=int, default=200_000)
    parser.add_argument("--share", type=int, default=1, help="one in so many of the faults")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("build/prove"))
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    faults = {kind: number // given.share for kind, number in FAULTS.items()}
    sound = True
    for name in given.stores:
        with store(name) as (url, restart):
            queue = f"prove-{secrets.token_hex(4)}"
            settings = Settings(url, queue, given.jobs, faults, workers=4, lease=1.0, concurrency=32, seed=given.seed)
            report = carry_out(settings, restart, given.output / f"{name}.svg")
        tell(report)
        (given.output / f"{name}.json").write_bytes(msgspec.json.format(msgspec.json.encode(report.document())))
        sound = sound and report.sound
    return not sound


if __name__ == "__main__":
    sys.exit(main())
