"""Each mutant dies by a test of the law that it breaks; the same copies without bugs live."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest

from jobcore.conformance.laws import all_laws
from mutants import concurrency, core_loops, memory_details, memory_laws, postgres_sql, redis_lua, sqlite_sql, stores
from mutants.mutant import Mutant, planted
from mutants.stores import Store
from mutants.trial import tried

OPENERS: Final[dict[str, Callable[..., Callable[[], Store]]]] = {
    "memory": stores.in_memory,
    "sqlite": stores.in_sqlite,
    "redis": stores.on_redis,
    "postgres": stores.on_postgres,
}
PLACES: Final = {"memory": [], "sqlite": ["tmp_path"], "redis": ["redis_url"], "postgres": ["postgres_url"]}
"""The fixtures that say where a driver's stores are: a server is started only for who asks."""

MUTANTS: Final[list[Mutant]] = [
    mutant
    for room in (memory_laws, memory_details, redis_lua, postgres_sql, sqlite_sql, concurrency)
    for mutant in room.MUTANTS
]


def _mutants() -> Iterator[Any]:
    for mutant in MUTANTS:
        yield pytest.param(mutant, id=str(mutant), marks=[pytest.mark.slow] * mutant.slow)


def _controls() -> Iterator[Any]:
    """Each driver with each law that a mutant of it breaks."""
    for driver in OPENERS:
        for law in dict.fromkeys(mutant.law for mutant in MUTANTS if mutant.driver == driver):
            slow = all(mutant.slow for mutant in MUTANTS if (mutant.driver, mutant.law) == (driver, law))
            yield pytest.param(driver, law, id=f"{driver}-{law.__name__}", marks=[pytest.mark.slow] * slow)


def _opener(driver: str, package: ModuleType, request: pytest.FixtureRequest) -> Callable[[], Store]:
    """What opens stores of a planted driver."""
    return OPENERS[driver](package, *[request.getfixturevalue(place) for place in PLACES[driver]])


def test_each_bug_still_has_its_place():
    """Those that are left to heavy runs as well: what moved away from under them is told at once."""
    assert not [str(mutant) for mutant in [*MUTANTS, *core_loops.MUTANTS] if not mutant.has_place]


@pytest.mark.parametrize("mutant", [*_mutants()])
def test_a_mutant_dies_by_its_law(
    mutant: Mutant, tmp_path: Path, request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> None:
    with planted(mutant.driver, tmp_path, mutant) as package:
        verdict = tried(mutant.law, _opener(mutant.driver, package, request))
    assert verdict.killer, f"it passed all {verdict.tests} tests of {mutant.law.__name__}: {mutant.bug}"
    assert verdict.noticed, f"it broke down in {verdict.killer} before the suite noticed:\n{verdict.failure}"
    for name, value in {
        "mutant": str(mutant),
        "bug": mutant.bug,
        "law": str(all_laws()[mutant.law.__name__]),
        "killer": verdict.killer,
        "seconds": verdict.seconds,
    }.items():
        record_property(name, value)


@pytest.mark.parametrize(("driver", "law"), [*_controls()])
def test_the_same_copy_without_a_bug_lives(
    driver: str, law: type, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with planted(driver, tmp_path) as package:
        verdict = tried(law, _opener(driver, package, request))
    assert verdict.tests
    assert not verdict.killer, verdict.failure
