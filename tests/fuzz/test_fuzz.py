"""A short hunt on each target and each store, and a look at whether the hunt finds what it looks for."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator

import pytest

from fuzz.hunting import MEMORY, Found, Hunt, hunt, tried
from fuzz.mutating import PAYLOADS, made
from fuzz.targets import Target, targets

SEED = 20_11


@pytest.mark.parametrize(("name", "inputs"), [("decode", 20_000), ("store", 1000), ("url", 300)])
def test_a_short_hunt_finds_nothing(name: str, inputs: int) -> None:
    assert tried(Hunt(targets()[name], SEED, 0, inputs), range(inputs)) is None


@pytest.mark.parametrize("store", ["sqlite", "redis_url", "postgres_url"])
def test_nor_does_one_on_a_store_with_a_server(store: str, request: pytest.FixtureRequest, tmp_path: object) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db" if store == "sqlite" else request.getfixturevalue(store)
    assert tried(Hunt(targets(url)["store"], SEED, 0, 600), range(600)) is None


def test_an_input_can_be_had_again() -> None:
    assert [made(PAYLOADS, 1, n) for n in range(50)] == [made(PAYLOADS, 1, n) for n in range(50)]
    assert len({made(PAYLOADS, seed, n) for seed in (1, 2) for n in range(50)}) > 90


def raises(inputs: Iterable[bytes]) -> Iterator[None]:
    for data in inputs:
        if b"tree" in data:
            raise ZeroDivisionError
        yield


def dies(inputs: Iterable[bytes]) -> Iterator[None]:
    yield from [None for _ in inputs]
    os.kill(os.getpid(), signal.SIGSEGV)


def hangs(inputs: Iterable[bytes]) -> Iterator[None]:
    yield from [None for _ in inputs]
    while True:
        time.sleep(1)


def grows(inputs: Iterable[bytes]) -> Iterator[None]:
    yield from [None for _ in inputs]
    bytes(2 * MEMORY)


@pytest.mark.parametrize(
    ("check", "says"),
    [
        (raises, "ZeroDivisionError.*--target planted --seed 3 --first [0-9]+ --inputs 1'"),
        (dies, "ends the process.*--first 0 --inputs 1000"),
        (grows, "MemoryError"),
    ],
)
def test_what_is_planted_is_found_with_the_way_to_try_it_again(check: object, says: str) -> None:
    planted = Target("planted", 1, PAYLOADS, check)  # type: ignore[arg-type]  # parametrize knows no types
    with pytest.raises(Found, match=f"(?s){says}"):
        list(hunt(Hunt(planted, 3, 0, 1500)))


def test_what_hangs_is_found_too() -> None:
    with pytest.raises(Found, match="hangs"):
        list(hunt(Hunt(Target("planted", 1, PAYLOADS, hangs), 3, 0, 10), patience=2))


def test_blocks_are_told_as_they_are_tried() -> None:
    assert list(hunt(Hunt(targets()["decode"], SEED, 5, 2500))) == [1000, 1000, 500]
