"""Jobs that kill their process each time: they end as lost, and no neighbour fails or spends an attempt."""

from __future__ import annotations

import secrets
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from core.loops import eventually, states
from faults.command import BOUND, Command

from jobcore import Queue
from jobcore.backend import Entry, Push
from jobcore.mover import ALONE_AFTER

APP = '''
import ctypes, os, signal, threading
from pathlib import Path
from jobcore import JobContext, Queue

queue = Queue(os.environ["QUEUE"], keep_succeeded=10_000)

def note(context):
    with open("runs", "a") as runs:
        runs.write(f"{context.id}\\n")

@queue.job(context=True, max_lost=3)
def die(context: JobContext[None]) -> None:
    """In another way each time."""
    note(context)
    match context.lost:
        case 0:
            os._exit(3)
        case 1:
            ctypes.string_at(0)  # a segmentation fault
        case _:
            os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does when memory is out

@queue.job(context=True)
def stay(context: JobContext[None]) -> None:
    """Takes a hand until some process has died, a moment longer than that one needs to."""
    note(context)
    while "die" not in Path("runs").read_text():
        threading.Event().wait(0.01)
    if context.lost == 0:
        threading.Event().wait(1)

@queue.job(context=True)
def pass_by(context: JobContext[None]) -> None:
    note(context)
'''

HANDS = 3
MANY = 150
"""Enough for workers to claim ahead of their hands."""


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=pytest.mark.slow), "postgres"])
def queue(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue[None]]:
    """A queue whose program is in `tmp_path`."""
    is_file = request.param == "sqlite"
    url = f"sqlite:///{tmp_path}/jobs.db" if is_file else request.getfixturevalue(f"{request.param}_url")
    (tmp_path / "app.py").write_text(APP)
    queue: Queue[None] = Queue(f"poison-{secrets.token_hex(4)}", url)
    monkeypatch.setenv("JOBCORE_URL", url)
    monkeypatch.setenv("QUEUE", queue.name)
    yield queue
    queue.destroy()
    queue.close()


def push(queue: Queue[None], name: str, *ids: str) -> None:
    queue.backend.push(queue.name, [Push(id, b'{"job": "%b", "args": {}}' % name.encode()) for id in ids])


def entries(queue: Queue[None], state: str) -> list[Entry]:
    return list(queue.entries(state, limit=10_000).entries)


def drain(queue: Queue[None], folder: Path) -> Counter[str]:
    """Have two processes run all that there is; returns how often each job was begun."""
    command = Command(
        folder, "worker", "app:queue", "--processes=2", f"--concurrency={HANDS}", "--lease=10m", "--no-monitor"
    )
    try:
        eventually(lambda: not {"ready", "running"} & states(queue).keys(), within=2 * BOUND, every=0.1)
        command.send(signal.SIGTERM)
        assert command.ended() == 0
    finally:
        command.close()
    return Counter((folder / "runs").read_text().split())


def test_poison_ends_as_lost_and_its_neighbours_end_well(queue: Queue[None], tmp_path: Path) -> None:
    """Wherever they stood as a process died, running or claimed ahead."""
    staying = [f"stay-{number}" for number in range(HANDS + 1)]
    push(queue, "stay", *staying)  # too many for one process: some run beside the poison, whoever gets that
    push(queue, "pass_by", *[f"before-{number}" for number in range(MANY)])
    push(queue, "die", "die")
    push(queue, "pass_by", *[f"after-{number}" for number in range(MANY)])
    begun = drain(queue, tmp_path)
    (poison,) = entries(queue, "failed")
    assert (poison.id, poison.reason, poison.attempt) == ("die", "lost 3 times", 1)
    assert begun["die"] == 3
    neighbours = entries(queue, "succeeded")
    assert len(neighbours) == HANDS + 1 + 2 * MANY
    assert {entry.attempt for entry in neighbours} == {1}
    lost = [entry.id for entry in neighbours if entry.lost]
    assert any(begun[id] > 1 for id in staying if id in lost)  # as it ran
    assert any(begun[id] == 1 for id in lost)  # as it waited for a hand


@pytest.mark.slow
def test_many_poisons_end_too(queue: Queue[None], tmp_path: Path) -> None:
    """One after another, each alone: nobody is lost with another one more often than it takes to be run alone."""
    poisons = [f"die-{number}" for number in range(2 * HANDS)]
    for poison in poisons:
        push(queue, "pass_by", *[f"{poison}-{number}" for number in range(MANY)])
        push(queue, "die", poison)
    drain(queue, tmp_path)
    assert {entry.id: entry.reason for entry in entries(queue, "failed")} == dict.fromkeys(poisons, "lost 3 times")
    neighbours = entries(queue, "succeeded")
    assert len(neighbours) == len(poisons) * MANY
    assert {entry.attempt for entry in neighbours} == {1}
    assert max(entry.lost for entry in neighbours) <= ALONE_AFTER
