"""Law 12: a deep queue costs no more than a shallow one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from jobcore.backend import Keep, Push, Succeed
from jobcore.conformance.client import Client
from jobcore.conformance.harness import Harness

SHALLOW, DEEP, BATCH = 1_000, 20_000, 10


class Law12Depth:
    """12. Work does not grow with depth.

    push, claim, extend and settle do at depth at most 1.5 times the work that they do at a thousand jobs. Where
    the harness has no count of the store's own work (see `Harness.work`), the verdict is `measured`.
    """

    @pytest.mark.parametrize("spread", ["one priority", "many priorities", "half of them later"])
    def test_work_does_not_grow_with_depth(
        self, harness: Harness, one: Client, spread: str, record_property: Callable[[str, object], None]
    ) -> None:
        if type(harness).work is Harness.work:
            record_property("verdict", "measured")
            record_property("why", "lines of Python were counted, and not the store's own work")
        work = {}
        for depth in (SHALLOW, DEEP):
            _deepen(one, depth, spread)
            work[depth] = _cycle(harness, one, f"at {depth}")
        for verb, steps in work[SHALLOW].items():
            assert work[DEEP][verb] <= 1.5 * steps + 1, f"{verb}: {steps} steps at {SHALLOW}, {work[DEEP]} at {DEEP}"


def _deepen(client: Client, depth: int, spread: str) -> None:
    """Fill the queue to `depth`."""
    counts = client.counts()
    for first in range(counts.ready + counts.scheduled, depth, 1000):
        client.backend.push("q", [_job(n, spread, client.units(1000)) for n in range(first, first + 1000)])


def _job(n: int, spread: str, later: int) -> Push:
    priority = n % 7 if spread == "many priorities" else 0
    return Push(f"{n}", b"{}", priority=priority, delay=later * (n % 2) if spread == "half of them later" else 0)


def _cycle(harness: Harness, client: Client, name: str) -> dict[str, int]:
    """One job's way through the store, ten at a time, and the least work that each verb did in three tries."""
    tries = [_measure(harness, client, f"{name}.{n}") for n in range(3)]
    return {verb: min(one[verb] for one in tries) for verb in tries[0]}


def _measure(harness: Harness, client: Client, name: str) -> dict[str, int]:
    ids = [f"{name}.{n}" for n in range(BATCH)]
    claims = client.claim(BATCH)
    return {
        "push": harness.work(lambda: client.push(*ids)),
        "claim": harness.work(lambda: claims.extend(client.claim(BATCH))),
        "extend": harness.work(lambda: client.extend(*[claim.hold for claim in claims])),
        "settle": harness.work(lambda: client.settle(Succeed(), *claims, keep=Keep())),
    }
