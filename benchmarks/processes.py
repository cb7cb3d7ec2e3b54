"""What a second worker process adds: no-op jobs that are queued already, with two against one.

Each process needs a core, and the server one as well: with fewer, this tells how they share them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from load import drained
from measure import SERVERS, Bench, Row, alternately, at_least


def rows(bench: Bench) -> Iterator[Row]:
    """Two worker processes against one."""
    jobs = bench.jobs(20_000)
    for store in bench.chosen(*SERVERS):
        url = bench.url(store)
        one, two = alternately(bench.rounds, partial(drained, url, jobs), partial(drained, url, jobs, 2))
        yield Row("drain, two processes against one", two, one, at_least(1.6), store=store)
