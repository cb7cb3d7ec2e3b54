"""Trying mutants, each in a process forked off one that has loaded what it needs."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable
from io import FileIO
from typing import Final

BOUND: Final = 60.0
"""Seconds after which a mutant is taken to hang: all tests of a target together take less."""


def in_a_child(task: Callable[[], str], bound: float = BOUND) -> str:
    """What `task` returns in a forked child; "" if it does not return within `bound` seconds.

    The child writes nothing to the terminal, and whatever it leaves running is killed with it.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        _be_a_child(task, writing)
    os.setpgid(child, child)
    os.close(writing)
    try:
        with os.fdopen(reading, "rb", buffering=0) as answer:
            return _read(answer, time.monotonic() + bound).decode()
    finally:
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _read(answer: FileIO, deadline: float) -> bytes:
    text = b""
    while select.select([answer], [], [], max(0.0, deadline - time.monotonic()))[0] and (more := answer.read(2**16)):
        text += more
    return text


def _be_a_child(task: Callable[[], str], writing: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(null, stream)
    try:
        with os.fdopen(writing, "wb") as answer:
            answer.write(task().encode())
    finally:
        os._exit(0)
