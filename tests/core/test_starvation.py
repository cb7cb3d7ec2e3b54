"""Async jobs that block the event loop are told about, by name, while they do."""

from __future__ import annotations

import asyncio
import threading

from core.loops import Told, eventually, running

from jobcore import Queue, Worker
from jobcore.events import Kind


def test_a_job_that_blocks_the_loop_is_named_once_and_shown_where_it_stands() -> None:
    queue, told, released = Queue("q", "memory://"), Told(), threading.Event()

    @queue.job
    async def polite() -> None:
        await asyncio.sleep(0)

    @queue.job
    async def rude() -> None:
        released.wait(10)

    worker = Worker(queue, lease=0.6, on_event=told)
    queue.enqueue(rude.job(), id="the rude one")
    with running(worker):
        eventually(lambda: told.of(Kind.BLOCKING))
        assert [(event.id, event.name) for event in worker.running()] == [("the rude one", "rude")]
        queue.enqueue(polite.job(), id="the polite one")
        released.set()
        eventually(lambda: Kind.SUCCEEDED in told.kinds("the polite one"))
    (event,) = told.of(Kind.BLOCKING)
    assert (event.queue, event.id, event.name, event.attempt) == ("q", "the rude one", "rude", 1)
    assert "in rude" in event.reason
    assert event.seconds
    assert worker.running() == []


def test_a_task_that_a_job_started_is_shown_though_it_has_no_name() -> None:
    queue, told, released = Queue("q", "memory://"), Told(), threading.Event()

    async def helper() -> None:
        released.wait(10)

    @queue.job
    async def outer() -> None:
        await asyncio.create_task(helper())

    outer.enqueue()
    with running(Worker(queue, lease=0.6, on_event=told)):
        eventually(lambda: told.of(Kind.BLOCKING))
        released.set()
    (event,) = told.of(Kind.BLOCKING)
    assert (event.id, "in helper" in event.reason) == (None, True)


def test_jobs_that_let_go_of_the_loop_are_not_told_about() -> None:
    queue, told = Queue("q", "memory://"), Told()

    @queue.job
    async def patient() -> None:
        for _ in range(50):
            await asyncio.sleep(0.005)

    patient.enqueue()
    with running(Worker(queue, lease=0.6, on_event=told)):
        eventually(lambda: told.of(Kind.SUCCEEDED))
    assert told.of(Kind.BLOCKING) == []
