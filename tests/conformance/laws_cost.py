"""Law 12: a deep queue costs no more than a shallow one."""

from __future__ import annotations

import time
from math import inf
from typing import Final

import pytest

from jobcore.backend import Claim, Keep, Push, State, Succeed
from jobcore.conformance.client import Client
from jobcore.conformance.effort import Effort
from jobcore.conformance.harness import Harness
from jobcore.conformance.outages import Record

SHALLOW: Final = 1_000
DEEP: Final = 20_000
DEEPEST: Final = 1_000_000
"""How deep it is in thorough runs, or as deep as it gets in their time."""

BATCH: Final = 10
CHUNK: Final = 1_000

MOMENT: Final = 0.1
"""Units of time in which so many come: a million within one moment are no queue that there is."""

SPREADS: Final = ["one priority", "many priorities", "half of them later", "all of them kept"]


class Law12Depth:
    """12. Work does not grow with depth.

    push, claim, extend and settle do at depth at most 1.5 times the work that they do at a thousand jobs, queued or
    kept. Where the harness has no count of the store's own work (see `Harness.work`), the verdict is `measured`.
    """

    @pytest.mark.parametrize("spread", SPREADS)
    def test_work_does_not_grow_with_depth(
        self, harness: Harness, one: Client, spread: str, effort: Effort, record_property: Record
    ) -> None:
        _deepen(one, SHALLOW, spread, inf)
        shallow = _cycle(harness, one, SHALLOW)
        depth = _deepen(one, DEEP, spread, inf)
        if effort.seconds:
            depth = _deepen(one, DEEPEST, spread, time.monotonic() + effort.seconds)
        deep = _cycle(harness, one, depth)
        _tell(harness, depth, record_property)
        for verb, steps in shallow.items():
            assert deep[verb] <= 1.5 * steps + 1, f"{verb}: {steps} steps at {SHALLOW}, {deep[verb]} at {depth}"


def _tell(harness: Harness, depth: int, record_property: Record) -> None:
    if type(harness).work is Harness.work:
        record_property("verdict", "measured")
        record_property("note", f"lines of Python were counted at {depth:,} jobs, and not the store's own work")
    else:
        record_property("note", f"work at {depth:,} jobs was compared with that at {SHALLOW:,}")


def _deepen(client: Client, depth: int, spread: str, deadline: float) -> int:
    """Fill the queue to `depth` jobs, or until a time of the monotonic clock; how deep it is then."""
    counts = client.counts()
    filled: int = sum(getattr(counts, state.value) for state in State)
    while filled < depth and time.monotonic() < deadline:
        client.backend.push("q", [_job(n, spread, client.units(1000)) for n in range(filled, filled + CHUNK)])
        filled += CHUNK
        if spread == "all of them kept":
            client.settle(Succeed(), *client.claim(CHUNK), keep=Keep(succeeded=DEEPEST))
        client.harness.advance(MOMENT * client.harness.unit)
    return filled


def _job(n: int, spread: str, later: int) -> Push:
    priority = n % 7 if spread == "many priorities" else 0
    return Push(f"{n}", b"{}", priority=priority, delay=later * (n % 2) if spread == "half of them later" else 0)


def _cycle(harness: Harness, client: Client, depth: int) -> dict[str, int]:
    """Some jobs' way through the store, and the least work that each verb did in three tries.

    As many as succeed are trimmed, so that the caps, which count the kept, have to be kept at the depth that there is.
    """
    keep = Keep(succeeded=client.counts().succeeded)
    tries = [_measure(harness, client, f"at {depth}.{n}", keep) for n in range(3)]
    return {verb: min(one[verb] for one in tries) for verb in tries[0]}


def _measure(harness: Harness, client: Client, name: str, keep: Keep) -> dict[str, int]:
    ids = [f"{name}.{n}" for n in range(BATCH)]
    claims: list[Claim] = []
    return {
        "push": harness.work(lambda: client.push(*ids)),
        "claim": harness.work(lambda: claims.extend(client.claim(BATCH))),
        "extend": harness.work(lambda: client.extend(*[claim.hold for claim in claims])),
        "settle": harness.work(lambda: client.settle(Succeed(), *claims, keep=keep)),
    }
