"""Trying inputs in processes of their own: one may crash, hang or take all memory, and it is known on which inputs."""

from __future__ import annotations

import faulthandler
import logging
import multiprocessing
import resource
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Final

from fuzz.targets import Target

BLOCK: Final = 1000
PATIENCE: Final = 120.0
"""Seconds that a block may take: a thousand times what it does on an idle machine."""

MEMORY: Final = 1 << 30
"""Bytes that trying may add to what a process has when it begins."""

_SPAWN: Final = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Hunt:
    """What is to be tried.

    Attributes:
        target: what the inputs are given to.
        seed: what they are made from.
        first: the number of the first.
        inputs: how many.
    """

    target: Target
    seed: int
    first: int
    inputs: int

    def blocks(self) -> Iterator[range]:
        """The numbers of the inputs, a block at a time."""
        end = self.first + self.inputs
        for begin in range(self.first, end, BLOCK):
            yield range(begin, min(begin + BLOCK, end))

    def again(self, first: int, inputs: int) -> str:
        """What tries some of them again."""
        return f"make fuzz ARGS='--target {self.target.name} --seed {self.seed} --first {first} --inputs {inputs}'"


class Found(Exception):
    """An input that breaks something; the message says what, and how to try it again."""


def hunt(given: Hunt, patience: float = PATIENCE) -> Iterator[int]:
    """Try all inputs in a process, and yield how many were tried, block after block.

    Raises:
        Found: one breaks something.
    """
    ours, theirs = _SPAWN.Pipe(duplex=False)
    process = _SPAWN.Process(target=_try_all, args=(given, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        for block in given.blocks():
            _await(ours, given, block, patience)
            yield len(block)
    finally:
        process.kill()
        process.join()
        ours.close()


def _await(ours: Connection, given: Hunt, block: range, patience: float) -> None:
    again = given.again(block.start, len(block))
    if not wait([ours], patience):
        raise Found(f"an input hangs: {patience:.0f} s have passed\n{again}")
    try:
        wrong = ours.recv()
    except EOFError:
        raise Found(f"an input ends the process\n{again}") from None
    if wrong:
        number, text = wrong
        raise Found(f"{text}\n{given.again(number, 1)}")


def _try_all(given: Hunt, pipe: Connection) -> None:
    """In the process: try block after block, and tell of each what went wrong, if anything."""
    faulthandler.enable()
    logging.disable()
    bound_memory(MEMORY)
    for block in given.blocks():
        pipe.send(tried(given, block))


def tried(given: Hunt, block: range) -> tuple[int, str] | None:
    """The number of the first input of a block that breaks something, and what it does; None if none does."""
    number = block.start
    try:
        for _ in given.target.check(given.target.inputs(given.seed, block)):
            number += 1
    except Exception:  # noqa: BLE001 -- whatever is raised is what is looked for
        return number, traceback.format_exc()[-4000:]
    return None


def bound_memory(more: int) -> None:
    """Have this process be refused what it asks for beyond so many bytes more than it has.

    Of data, not of addresses: threads reserve 64 MiB of those each, and use next to nothing.
    """
    has = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_DATA, (has + more, has + more))
