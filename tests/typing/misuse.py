"""Planted misuse: each marked line is an error in both checkers, and no other line is."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from jobcore import Job, JobContext, Queue


class Mailer: ...


class Printer: ...


@contextmanager
def mailer() -> Generator[Mailer]:
    yield Mailer()


mail = Queue("mail", lifespan=mailer)
plain = Queue("plain")


@mail.job
@dataclass(frozen=True)
class SendEmail(Job[Mailer]):
    to: str

    def run(self, mailer: Mailer) -> None: ...


@dataclass(frozen=True)
class Print(Job[Printer]):
    def run(self, printer: Printer) -> None: ...


@mail.job
def resize(path: str, width: int = 100) -> str:
    return f"{path}{width}"


@mail.job(context=True)
def notify(context: JobContext[Mailer], name: str) -> None: ...


mail.enqueue(Print())  # misuse: the queue has no Printer to run it with
plain.enqueue(SendEmail("a"))  # misuse: nor has one without a state a Mailer
Queue("mail", lifespan=mailer, jobs=[Print])  # misuse: the same, at registration
Queue("mail", state=Mailer(), lifespan=mailer)  # misuse: state and lifespan exclude each other
mail.enqueue(SendEmail)  # misuse: a class where a job is meant
mail.enqueue("SendEmail")  # misuse: a name where a job is meant
mail.enqueue(resize)  # misuse: a function where a job is meant
mail.enqueue(SendEmail(3))  # misuse: an argument of a wrong type
mail.enqueue(SendEmail("a"), dealy=3)  # misuse: a misspelt option
mail.enqueue(SendEmail("a"), delay="3")  # misuse: an option of a wrong type
resize.enqueue()  # misuse: a missing argument
resize.enqueue("a", width="wide")  # misuse: an argument of a wrong type
resize.enqueue("a", widht=3)  # misuse: a misspelt keyword
resize.job("a", 1, 2)  # misuse: too many arguments
notify.enqueue(object(), "a")  # misuse: the context is not the caller's to give
mail.job(max_attempt=3)  # misuse: a misspelt option of policy
mail.job(max_attempts="3")  # misuse: an option of policy of a wrong type
Queue("mail", max_lots=3)  # misuse: a misspelt default
