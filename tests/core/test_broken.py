"""Stored rubbish: kept with its bytes and the reason, while the worker goes on; healed by who can read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from core.loops import Faulty, Told, eventually, states

from jobcore.backend import Push, State
from jobcore.events import Kind
from jobcore.job import Job
from jobcore.monitor import Monitor
from jobcore.queue import Queue
from jobcore.worker import Worker

RUBBISH = [
    b"",
    b"\xff\xfe\x00",
    b"null",
    b"[]",
    b'"add"',
    b"{}",
    b'{"job":"add"}',
    b'{"args":{"number":1}}',
    b'{"job":"add","args":[1]}',
    b'{"job":"add","args":{}}',
    b'{"job":"add","args":{"number":"one"}}',
    b'{"job":"add","args":{"number":1,"more":2}}',
    b'{"job":"add","args":{"number":1},"extra":0}',
    b'{"job":"gone","args":{}}',
    b'{"job":["add"],"args":{}}',
    b'{"job":"add","args":{"number":1}} trailing',
    b"[" * 10_000_000,
    b'{"job":"add","args":{"number":' + b"[" * 100_000,
    b'{"job":"' + b"x" * 100_000 + b'","args":{}}',
    b'{"job":"\\u0000\\ud800","args":{}}',
]


def adding(backend: Any, *, known: bool = True) -> tuple[Queue[None], list[int]]:
    queue: Queue[None] = Queue("q", backend)
    sums: list[int] = []

    if known:

        @queue.job
        def add(number: int) -> None:
            sums.append(number)

    return queue, sums


def push(queue: Queue[Any], *payloads: bytes) -> None:
    queue.backend.push(queue.name, [Push(f"id-{index}", payload) for index, payload in enumerate(payloads)])


def test_rubbish_is_broken_with_its_bytes_and_a_reason_and_the_worker_goes_on():
    told = Told()
    queue, sums = adding("memory://")
    push(queue, *RUBBISH)
    queue.enqueue_named("add", {"number": 7})
    Worker(queue, concurrency=1, monitor=False, on_event=told).run(until_empty=True)
    assert sums == [7]
    assert states(queue) == {"broken": len(RUBBISH)}
    assert sorted(payload for payload, _ in queue.broken()) == sorted(RUBBISH)
    entries = queue.entries("broken").entries
    assert all(entry.reason for entry in entries)
    assert len(told.of(Kind.BROKEN)) == len(RUBBISH)


def test_the_reason_names_the_job_or_the_field():
    queue, _ = adding("memory://")
    push(queue, b'{"job":"gone","args":{}}', b'{"job":"add","args":{"number":"one"}}')
    Worker(queue, monitor=False).run(until_empty=True)
    unknown, mistyped = (queue.find(f"id-{index}") for index in range(2))
    assert unknown is not None
    assert mistyped is not None
    assert "gone" in (unknown.reason or "")
    assert "number" in (mistyped.reason or "")


def broken_by_an_old_worker(backend: Any) -> None:
    old, _ = adding(backend, known=False)
    push(old, b'{"job":"add","args":{"number":1}}', b"rubbish")
    Worker(old, monitor=False).run(until_empty=True)
    assert states(old) == {"broken": 2}


def test_a_monitor_that_can_read_a_broken_job_has_it_run_again():
    backend, told = Faulty(), Told()
    broken_by_an_old_worker(backend)
    queue, sums = adding(backend)
    monitor = Monitor(queue, on_event=told)
    assert monitor.step() == 1
    assert states(queue) == {"ready": 1, "broken": 1}
    Worker(queue, monitor=False).run(until_empty=True)
    assert sums == [1]
    eventually(lambda: [event.id for event in told.of(Kind.HEALED)] == ["id-0"])


def test_a_monitor_that_cannot_read_it_leaves_it_alone():
    backend = Faulty()
    broken_by_an_old_worker(backend)
    old, _ = adding(backend, known=False)
    assert Monitor(old).step() == 0
    assert states(old) == {"broken": 2}
    assert backend.calls["redrive"] == 0


def test_a_job_whose_fields_do_not_fit_stays_broken():
    queue, _ = adding("memory://")
    push(queue, b'{"job":"add","args":{"number":"one"}}')
    Worker(queue, monitor=False).run(until_empty=True)
    assert Monitor(queue).step() == 0
    assert states(queue) == {"broken": 1}


def test_healing_can_be_refused():
    backend = Faulty()
    broken_by_an_old_worker(backend)
    queue, _ = adding(backend)
    assert Monitor(queue, heal=False).step() == 0
    assert states(queue) == {"broken": 2}


def test_a_monitor_looks_for_broken_jobs_at_intervals_not_at_each_step():
    backend = Faulty()
    queue, _ = adding(backend)
    monitor = Monitor(queue)
    for _ in range(10):
        monitor.step()
    assert backend.calls["peek"] == 1
    assert backend.calls["reclaim"] == 10


def test_broken_jobs_are_looked_for_every_half_minute_and_a_little(monkeypatch: pytest.MonkeyPatch):
    backend, now = Faulty(), [1000.0]
    queue, _ = adding(backend)
    monkeypatch.setattr("jobcore.clocks.steady", lambda: now[0])
    monitor = Monitor(queue)
    looks = []
    for now[0] in (1000.0, 1029.9, 1033.1, 1063.0, 1066.3):
        monitor.step()
        looks.append(backend.calls["peek"])
    assert looks == [1, 1, 2, 2, 3]


def test_a_payload_is_tried_once_by_a_process(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("jobcore.recovery.HEAL_SECONDS", 0.0)
    backend = Faulty()
    broken_by_an_old_worker(backend)
    queue, _ = adding(backend)
    monitor = Monitor(queue)
    assert monitor.step() == 1
    old, _ = adding(backend, known=False)
    Worker(old, monitor=False).run(until_empty=True)  # which breaks it again
    assert [monitor.step() for _ in range(3)] == [0, 0, 0]
    assert states(queue) == {"broken": 2}
    assert Monitor(queue).step() == 1  # another process


def test_a_payload_whose_redrive_failed_is_tried_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("jobcore.recovery.HEAL_SECONDS", 0.0)
    backend = Faulty()
    broken_by_an_old_worker(backend)
    queue, _ = adding(backend)
    monitor = Monitor(queue)
    backend.fail("redrive")
    with pytest.raises(Exception, match="cut off"):
        monitor.step()
    assert monitor.step() == 1


def test_healing_comes_to_all_of_a_long_listing_page_by_page(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("jobcore.recovery.HEAL_SECONDS", 0.0)
    monkeypatch.setattr("jobcore.recovery.HEAL_JOBS", 3)
    queue, _ = adding("memory://")
    rubbish = [b"rubbish %d" % number for number in range(8)]
    push(queue, *rubbish[:4], b'{"job":"late","args":{}}', *rubbish[4:])  # on neither end of the listing
    Worker(queue, monitor=False).run(until_empty=True)

    @queue.job
    def late() -> None: ...

    monitor = Monitor(queue)
    assert sum(monitor.step() for _ in range(4)) == 1
    assert states(queue) == {"broken": 8, "ready": 1}


def test_what_an_upgrade_can_read_is_healed_too():
    backend = Faulty()
    old, _ = adding(backend, known=False)
    push(old, b'{"job":"Mail","args":{"address":"a@b.c"}}')
    Worker(old, monitor=False).run(until_empty=True)
    queue: Queue[None] = Queue("q", backend)

    @queue.job
    @dataclass(frozen=True)
    class Mail(Job):
        to: str

        @classmethod
        def upgrade(cls, args: dict[str, Any]) -> dict[str, Any]:
            return {"to": args["address"]}

        def run(self) -> None: ...

    assert Monitor(queue).step() == 1
    assert queue.jobs() == [Mail("a@b.c")]
    entry = queue.entries(State.READY).entries[0]
    assert (entry.attempt, entry.lost) == (0, 0)
