"""A page of ordinary use: both checkers find nothing in it, and there is no cast."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar, assert_type

import attrs
import msgspec
import pydantic

from jobcore import (
    ExceptionBehavior,
    ExponentialBackoff,
    Failure,
    Job,
    JobContext,
    LinearBackoff,
    Monitor,
    Queue,
    Result,
    Retry,
    State,
    Success,
    Worker,
    open_backend,
)
from jobcore.backend import Entry, Pushed
from jobcore.events import Event


class Mailer:
    def send(self, to: str) -> bool:
        return bool(to)


@contextmanager
def mailer() -> Generator[Mailer]:
    yield Mailer()


@asynccontextmanager
async def async_mailer() -> AsyncGenerator[Mailer]:
    yield Mailer()


def tell(events: Sequence[Event]) -> None:
    assert events


mail = Queue("mail", lifespan=mailer, keep_failed=10, max_attempts=5)
mail_async = Queue("mail", "redis://localhost", lifespan=async_mailer, on_event=tell)
mail_ready = Queue("mail", lambda: open_backend("memory://"), state=Mailer(), logger=logging.getLogger("mine"))
stateless = Queue("plain", "memory://", timeout=timedelta(minutes=1), backoff=LinearBackoff(3))


@mail.job
@dataclass(frozen=True)
class SendEmail(Job[Mailer]):
    to: str
    subject: str = ""
    on_exception = ExceptionBehavior.RETRY

    def run(self, mailer: Mailer) -> Result | None:
        return Success() if mailer.send(self.to) else Retry("mailbox busy", delay=30)


@mail.job(max_attempts=3, aliases=("Letter",))
@attrs.frozen
class SendLetter(Job[Mailer]):
    to: str

    async def run(self, mailer: Mailer, context: JobContext[Mailer]) -> Result:
        context.logger.info("%s %s", context.attempt, context.state.send(self.to))
        return Failure("no post today")


@mail.job(name="fax", timeout=60, backoff=ExponentialBackoff(2.0, cap=60))
class SendFax(msgspec.Struct, Job[Mailer], frozen=True):
    number: str

    def run(self, _: Mailer) -> None: ...


@stateless.job
class Count(pydantic.BaseModel, Job[object]):
    until: int
    max_attempts: ClassVar[int] = 2

    def run(self) -> int:
        return self.until


@stateless.job
def resize(path: str, width: int = 100, *, fast: bool = False) -> str:
    return f"{path}{width}{fast}"


@stateless.job(max_attempts=None)
async def fetch(url: str) -> int:
    return len(url)


@mail.job(context=True)
def notify(context: JobContext[Mailer], name: str) -> bool:
    return context.state.send(name)


assert_type(mail, Queue[Mailer])
assert_type(mail_async, Queue[Mailer])
assert_type(mail_ready, Queue[Mailer])
assert_type(stateless, Queue[None])
assert_type(SendEmail("a").to, str)
assert_type(resize("a", fast=True), str)
assert_type(resize.enqueue("a", 3), str)
assert_type(notify.enqueue("a"), str)
assert_type(mail.find("id"), Entry | None)

mail.enqueue(SendEmail("a@b.c", "Hello"), delay=60, priority=3)
mail.enqueue(SendLetter("a"), run_at=datetime.now(UTC), id="letter:a")
mail.enqueue(Count(until=3))  # a job that needs no state runs with any
mail.enqueue(notify.job("a"), delay=timedelta(hours=1))
stateless.enqueue(resize.job("a", width=3))
assert_type(mail.enqueue_many([SendEmail("a"), SendFax("1")], ids=["a", "b"]), list[Pushed])
mail.enqueue_named("SendEmail", {"to": "a"}, connection=object())


async def handler() -> None:
    assert_type(await fetch.aenqueue("https://example.org"), str)
    assert_type(await mail.aenqueue(SendEmail("a")), str)
    assert_type(await mail.aenqueue_many([SendEmail("a")]), list[Pushed])
    assert_type(await fetch("https://example.org"), int)


def test_application() -> None:
    with mail.using("memory://", state=Mailer()) as queue:
        assert queue.jobs() == [SendEmail("a")]
        Worker(queue, stateless, concurrency=4).run(until_empty=True)
        for entry in queue.entries(State.FAILED, limit=10).entries:
            queue.redrive([entry.id])
    Monitor(mail).step()
