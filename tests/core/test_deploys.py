"""What happens on deploys and duplicates: the rows of README's table, each a test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from jobcore import Job, Monitor, Queue, Worker
from jobcore.backend import Push, Pushed, Uncertain
from jobcore.backends.memory import MemoryBackend
from jobcore.testing import ManualClock


@pytest.fixture
def store() -> MemoryBackend:
    return MemoryBackend()


def old_and_new(store: MemoryBackend, old: type[Job[Any]], new: type[Job[Any]]) -> tuple[Queue[Any], Queue[Any]]:
    """The same queue, as the program before a deploy and the one after it see it."""
    return Queue("mail", store, jobs=[old], state=None), Queue("mail", store, jobs=[new], state=None)


def job_class(name: str, *fields: str, **attributes: object) -> Any:
    """A job class whose runs are recorded in `ran`."""
    ran: list[object] = []

    def run(self: object) -> None:
        ran.append(self)

    body = {"run": run, "ran": ran, **attributes}
    annotations = {field.split("=")[0]: str for field in fields}
    defaults = dict(field.split("=") for field in fields if "=" in field)
    return dataclass(frozen=True)(type(name, (Job,), {"__annotations__": annotations, **defaults, **body}))


def drain(queue: Queue[Any]) -> None:
    Worker(queue, monitor=False).run(until_empty=True)


def test_a_field_gained_takes_its_default(store: MemoryBackend) -> None:
    before, after = job_class("Mail", "to"), job_class("Mail", "to", "subject=Hello")
    old, new = old_and_new(store, before, after)
    old.enqueue(before("a@b.c"))
    drain(new)
    assert after.ran == [after("a@b.c", "Hello")]


def test_a_field_that_an_old_worker_does_not_know_is_never_dropped(store: MemoryBackend) -> None:
    before, after = job_class("Mail", "to"), job_class("Mail", "to", "subject=Hello")
    old, new = old_and_new(store, before, after)
    new.enqueue(after("a@b.c", "Bye"))
    drain(old)
    assert (before.ran, len(old.broken())) == ([], 1)
    Monitor(new).step()
    drain(new)
    assert after.ran == [after("a@b.c", "Bye")]


def test_a_class_renamed_runs_under_its_alias(store: MemoryBackend) -> None:
    before, after = job_class("Mail", "to"), job_class("SendMail", "to", aliases=("Mail",))
    old, new = old_and_new(store, before, after)
    old.enqueue(before("a@b.c"))
    drain(new)
    assert after.ran == [after("a@b.c")]


def test_a_field_lost_is_broken_unless_upgrade_mends_it(store: MemoryBackend) -> None:
    def upgrade(args: dict[str, Any]) -> dict[str, Any]:
        return {"to": args["to"]}

    before, after = job_class("Mail", "to", "subject"), job_class("Mail", "to")
    mended = job_class("Mail", "to", upgrade=classmethod(lambda cls, args: upgrade(args)))
    old, new = old_and_new(store, before, after)
    old.enqueue(before("a@b.c", "Hello"))
    drain(new)
    assert [payload for payload, _ in new.broken()] == [b'{"job":"Mail","args":{"to":"a@b.c","subject":"Hello"}}']
    newest = Queue("mail", store, jobs=[mended], state=None)
    Monitor(newest).step()
    drain(newest)
    assert mended.ran == [mended("a@b.c")]


def test_a_name_unknown_to_an_old_worker_waits_for_a_new_one(store: MemoryBackend) -> None:
    before, after = job_class("Mail", "to"), job_class("Text", "to")
    old, new = old_and_new(store, before, after)
    id = new.enqueue(after("555"))
    drain(old)
    entry = old.find(id)
    assert entry is not None
    assert (entry.state, "no job 'Text'" in (entry.reason or "")) == ("broken", True)
    Monitor(new).step()
    drain(new)
    assert after.ran == [after("555")]


def test_an_id_pushed_twice_is_stored_once(store: MemoryBackend) -> None:
    mail = job_class("Mail", "to")
    queue, _ = old_and_new(store, mail, mail)
    first = queue.enqueue_many([mail("a@b.c")], ids=["welcome:a"])
    second = queue.enqueue_many([mail("other")], ids=["welcome:a"])
    assert [pushed.created for pushed in first + second] == [True, False]
    assert queue.jobs() == [mail("a@b.c")]


def test_a_reply_lost_does_not_store_twice(store: MemoryBackend) -> None:
    class Lossy(MemoryBackend):
        replies = iter([False, True])

        def push(self, queue: str, pushes: Any) -> list[Pushed]:
            pushed = super().push(queue, pushes)
            if not next(self.replies):
                raise Uncertain("the connection broke")
            return pushed

    mail = job_class("Mail", "to")
    queue: Queue[Any] = Queue("mail", Lossy(), jobs=[mail], state=None)
    queue.enqueue(mail("a@b.c"))
    assert queue.jobs() == [mail("a@b.c")]


def test_a_worker_killed_has_its_jobs_run_again() -> None:
    clock = ManualClock()
    store = MemoryBackend(clock)
    mail = job_class("Mail", "to")
    queue, _ = old_and_new(store, mail, mail)
    queue.enqueue(mail("a@b.c"))
    store.claim("mail", 1, 1_000_000, "a worker that dies now", bytes(16), 1 << 20)
    clock.advance(1)
    Monitor(queue).step()
    drain(queue)
    assert mail.ran == [mail("a@b.c")]
    assert queue.counts() == type(queue.counts())()


def test_rubbish_is_kept_as_it_is_and_stops_nobody(store: MemoryBackend) -> None:
    mail = job_class("Mail", "to")
    queue, _ = old_and_new(store, mail, mail)
    store.push("mail", [Push("rubbish", b"\xff not JSON")])
    queue.enqueue(mail("a@b.c"))
    drain(queue)
    assert [payload for payload, _ in queue.broken()] == [b"\xff not JSON"]
    assert mail.ran == [mail("a@b.c")]


def test_a_worker_stopped_gives_back_what_it_had_not_begun(store: MemoryBackend) -> None:
    queue: Queue[Any] = Queue("mail", store, state=None)
    worker = Worker(queue, concurrency=1, monitor=False)

    @queue.job
    def mail(to: str) -> None:
        worker.stop()

    queue.enqueue_many([mail.job("a"), mail.job("b"), mail.job("c")])
    worker.run()
    assert queue.jobs() == [mail.job("b"), mail.job("c")]
    assert [entry.attempt for entry in queue.entries("ready").entries] == [0, 0]
