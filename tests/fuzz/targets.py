"""What is given the inputs, and what has to hold of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

import msgspec

from fuzz.jobs import queue_of
from fuzz.mutating import PAYLOADS, URLS, made
from jobcore.backend import ConfigurationError, Push, State
from jobcore.codec import Undecodable
from jobcore.connect import open_backend
from jobcore.queue import Queue
from jobcore.worker import Worker

_BATCH: Final = 200
_REASON: Final = 1200
"""Characters that a reason may have, whatever the payload's length: it is logged and listed."""

Check = Callable[[Iterable[bytes]], Iterator[None]]
"""Takes inputs and yields after each, once what has to hold of it held; else raises."""


class Target(NamedTuple):
    """Something that reads bytes.

    Attributes:
        name: what `--target` calls it.
        share: how many of a thousand inputs it is given.
        corpus: what its inputs are made of.
        check: tries them.
    """

    name: str
    share: int
    corpus: Sequence[bytes]
    check: Check

    def inputs(self, seed: int, numbers: Iterable[int]) -> Iterator[bytes]:
        """The inputs of these numbers."""
        return (made(self.corpus, seed, number) for number in numbers)


def decode(inputs: Iterable[bytes]) -> Iterator[None]:
    """A payload becomes a job, which is stored as it came and comes back equal; or a verdict with a short reason."""
    registry = queue_of("memory://").registry
    for payload in inputs:
        try:
            kind, args = registry.open(payload)
            job = kind.decode(args)
        except Undecodable as verdict:
            _hold(0 < len(verdict.reason) <= _REASON, f"a reason of {len(verdict.reason)} characters")
        else:
            again = kind.shape.decode(kind.shape.encode(job))
            _hold(again == job or "NaN" in repr(job), f"{job!r} came back as {again!r}")  # NaN is nothing's equal
        yield


@dataclass(frozen=True)
class Store:
    """Payloads on a store: a worker leaves each broken with its bytes, or run and gone."""

    url: str

    def __call__(self, inputs: Iterable[bytes]) -> Iterator[None]:
        """See `Check`."""
        with closing(open_backend(self.url)) as backend, ExitStack() as leaving:
            queue = queue_of(backend)
            worker = Worker(queue, monitor=False)
            leaving.callback(worker.stop)
            for batch in _batches(inputs):
                _work_off(queue, worker, batch)
                yield from [None] * len(batch)


def _work_off(queue: Queue[None], worker: Worker, batch: Sequence[bytes]) -> None:
    queue.destroy()
    pushes = {f"{n}": payload for n, payload in enumerate(batch)}
    queue.backend.push(queue.name, [Push(id, payload) for id, payload in pushes.items()])
    while worker.step():
        pass
    left = {entry.id: entry.payload for entry in queue.backend.peek(queue.name, State.BROKEN, _BATCH).entries}
    counts = msgspec.structs.asdict(queue.counts())
    _hold(sum(counts.values()) == len(left), f"jobs that are neither run nor broken: {counts}")
    _hold(left.items() <= pushes.items(), "a broken job has other bytes than it was pushed with")


def url(inputs: Iterable[bytes]) -> Iterator[None]:
    """A URL is opened (nothing is connected to), or refused without a piece of its password."""
    for data in inputs:
        text = data.decode(errors="replace")
        try:
            open_backend(text).close()
        except ConfigurationError as error:
            # What stands where an option's name does is told, as it may be mistyped; behind a login it is not.
            named = "@" not in text and any("hunter2" in name for name, _ in parse_qsl(text.partition("?")[2]))
            _hold(named or "hunter2" not in f"{error}", f"{error}")
        yield


def targets(store_url: str = "memory://") -> dict[str, Target]:
    """All of them, with the store that one of them uses."""
    made = [
        Target("decode", 990, PAYLOADS, decode),
        Target("store", 9, PAYLOADS, Store(store_url)),
        Target("url", 1, URLS, url),
    ]
    return {target.name: target for target in made}


def _batches(inputs: Iterable[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    for payload in inputs:
        batch.append(payload)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _hold(condition: bool, otherwise: str) -> None:
    if not condition:
        raise AssertionError(otherwise[:2000])
