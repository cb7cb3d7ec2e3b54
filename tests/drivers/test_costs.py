"""What jobs cost, in counts that no other work on the machine can change: a guard that needs no clock.

A bound stands a little above what was counted when it was written. A change that costs more says so here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import closing
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any, Final, TypeAlias, TypeVar

import pytest
from drivers.test_memory import MemoryHarness
from drivers.test_sqlite import SqliteHarness

from jobcore import open_backend
from jobcore.backend import Backend, Claim, Fail, Keep, Push, Succeed, Wakes

from servers.wire import Traffic, watched

T = TypeVar("T")
Verbs: TypeAlias = dict[str, Callable[[], Any]]

LEASE: Final = 60_000_000
PAYLOAD: Final = b'{"job":"noop","args":{"number":1}}'


def verbs(backend: Backend) -> Verbs:
    """The ways of jobs through a queue that was never used: a hundred at a time, and one alone."""
    ids = (f"{n:08}" for n in count())
    held: list[Claim] = []

    def push(jobs: int) -> None:
        backend.push("q", [Push(next(ids), PAYLOAD) for _ in range(jobs)])

    def claim(jobs: int) -> None:
        held[:] = backend.claim("q", jobs, LEASE, "holder", next(ids).encode() * 2, 1 << 20).claims
        assert len(held) == jobs

    def settle(outcome: Succeed | Fail) -> None:
        backend.settle("q", [(each.hold, outcome) for each in held], Keep(failed=100))

    def failed() -> None:
        push(100)
        claim(100)
        settle(Fail(reason="why"))

    return {
        "push 1": lambda: push(1),
        "claim 1": lambda: claim(1),
        "settle 1": lambda: settle(Succeed()),
        "push 100": lambda: push(100),
        "claim 100": lambda: claim(100),
        "extend 100": lambda: backend.extend("q", [each.hold for each in held], LEASE),
        "settle 100": lambda: settle(Succeed()),
        "push, claim and fail 100": failed,
    }


def counted(backend: Backend, count: Callable[[Callable[[], Any]], T]) -> dict[str, T]:
    """What each verb costs on a queue that was never used, by a client that has made its connections."""
    for verb in verbs(backend).values():
        verb()
    backend.destroy("q")
    return {name: count(verb) for name, verb in verbs(backend).items()}


OVER_THE_WIRE: Final = {
    "redis": {
        "push 1": Traffic(1, 330, 10),
        "claim 1": Traffic(1, 350, 210),
        "settle 1": Traffic(1, 510, 10),
        "push 100": Traffic(1, 5_600, 110),
        "claim 100": Traffic(1, 350, 15_600),
        "extend 100": Traffic(1, 4_100, 110),
        "settle 100": Traffic(1, 4_700, 110),
        "push, claim and fail 100": Traffic(3, 11_000, 15_800),
    },
    "postgres": {
        "push 1": Traffic(1, 160, 120),
        "claim 1": Traffic(1, 380, 850),
        "settle 1": Traffic(1, 360, 120),
        "push 100": Traffic(1, 5_450, 110),
        "claim 100": Traffic(1, 380, 25_000),
        "extend 100": Traffic(1, 5_850, 2_500),
        "settle 100": Traffic(1, 9_950, 2_500),
        "push, claim and fail 100": Traffic(7, 21_000, 31_000),
    },
}

STEPS: Final = {
    "memory": {
        "push 1": 100,
        "claim 1": 85,
        "settle 1": 90,
        "push 100": 3_000,
        "claim 100": 2_200,
        "extend 100": 1_950,
        "settle 100": 4_000,
        "push, claim and fail 100": 9_200,
    },
    "sqlite": {
        "push 1": 165,
        "claim 1": 460,
        "settle 1": 205,
        "push 100": 13_000,
        "claim 100": 17_000,
        "extend 100": 5_200,
        "settle 100": 9_000,
        "push, claim and fail 100": 52_500,
    },
}
"""Lines of Python, and steps of SQLite's virtual machine."""

CALLS: Final = {"redis": 34, "postgres": 52}
"""Functions of Python that push one job, but for those of the library that speaks to the server."""


@pytest.mark.parametrize("store", OVER_THE_WIRE)
def test_what_goes_over_the_wire(store: str, request: pytest.FixtureRequest) -> None:
    with watched(request.getfixturevalue(f"{store}_url")) as wire, closing(open_backend(wire.url)) as backend:
        found = counted(backend, wire.during)
        backend.destroy("q")
    bounds = OVER_THE_WIRE[store]
    assert {verb: cost for verb, cost in found.items() if not cost.within(bounds[verb])} == {}


@pytest.mark.parametrize("store", OVER_THE_WIRE)
def test_who_waits_on_asks_once(store: str, request: pytest.FixtureRequest) -> None:
    """At the beginning of each wait, and not at its end: an idle worker, whose waits last a second, asks once in it."""
    with watched(request.getfixturevalue(f"{store}_url")) as wire, closing(open_backend(wire.url)) as backend:
        assert isinstance(backend, Wakes)
        costs: list[int] = []
        while costs[-2:] != [1, 1] and len(costs) < 200:  # the first ones open connections, and say that someone waits
            costs.append(wire.during(lambda: backend.wait(["q"], 0.01)).exchanges)
        backend.destroy("q")
    assert costs[-2:] == [1, 1]


@pytest.mark.parametrize("store", STEPS)
def test_the_steps_that_a_store_takes(store: str, tmp_path: Path) -> None:
    harness = MemoryHarness() if store == "memory" else SqliteHarness(tmp_path)
    with closing(harness.make()) as backend:
        found = counted(backend, harness.work)
    bounds = STEPS[store]
    assert {verb: steps for verb, steps in found.items() if steps > bounds[verb]} == {}


@pytest.mark.parametrize("store", CALLS)
def test_what_a_client_calls_to_push_one(store: str, request: pytest.FixtureRequest) -> None:
    with closing(open_backend(request.getfixturevalue(f"{store}_url"))) as backend:
        push = verbs(backend)["push 1"]
        push()  # connects, and makes tables
        assert called(push) <= CALLS[store]
        backend.destroy("q")


def called(verb: Callable[[], Any]) -> int:
    """How many functions of Python a verb calls, but for redis-py's and psycopg's."""
    modules: list[str] = []

    def note(frame: FrameType, event: str, _arg: object) -> None:
        if event == "call":
            modules.append(frame.f_globals["__name__"])

    sys.setprofile(note)
    try:
        verb()
    finally:
        sys.setprofile(None)
    return sum(not module.startswith(("redis.", "psycopg")) for module in modules)
