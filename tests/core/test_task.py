"""One run, step by step: what a task is told, when it begins, and what its end is taken for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import pytest

from jobcore.backend import Claim, Fail, Keep, Retry, Return, State, Succeed
from jobcore.codec import Undecodable
from jobcore.job import JobContext, JobTimeout, LinearBackoff
from jobcore.queue import Queue
from jobcore.run import NOTHING, Raised, Task, Unopened, call, conclude, limited, microseconds, moment

CLAIM = Claim("id", b"c" * 16, 7, b'{"job":"work","args":{}}', 5, 2, 1, 1_500_000, 2_250_000, 3_000_000)


class Setting:
    """What a worker gives its tasks."""

    name = "q"
    state = "the state"
    logger = logging.getLogger("test")

    def __init__(self, succeeded: int = 1) -> None:
        self.keep = Keep(succeeded=succeeded)
        self.begun: Callable[[Task], None] | None = None
        self.asked: list[Task] = []

    def transact(self, task: Task, thread: int, /) -> Any:
        self.asked.append(task)

    def finished(self, task: Task, /) -> None: ...


def task_of(function: Callable[..., Any], setting: Setting | None = None, **policy: Any) -> Task:
    """A claimed call of a function, by the name of `work`."""
    queue: Queue[Any] = Queue("q", "memory://")
    queue.job(name="work", **policy)(function)
    type, args = queue.registry.open(CLAIM.payload)
    return Task(setting or Setting(), CLAIM, type, args, 1e18, 0.0)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    time = [50.0]
    monkeypatch.setattr("jobcore.clocks.steady", lambda: time[0])
    return time


def test_what_a_job_sets_in_its_context_ends_with_it():
    mark = ContextVar("mark", default=0)
    call(task_of(lambda: mark.set(1)))
    assert mark.get() == 0


def test_a_context_tells_what_the_claim_says():
    setting = Setting()
    task = task_of(lambda: None, setting, max_attempts=4)
    context: JobContext[Any] = task.context()
    told = {
        name: getattr(context, name) for name in ("state", "id", "queue", "name", "attempt", "max_attempts", "lost")
    }
    assert told == {
        "state": "the state", "id": "id", "queue": "q", "name": "work", "attempt": 2, "max_attempts": 4, "lost": 1,
    }  # fmt: skip
    assert (context.fence, context.priority, context.logger) == (7, 5, setting.logger)
    assert context.pushed_at == datetime(1970, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC)
    assert context.started_at == datetime(1970, 1, 1, 0, 0, 2, 250_000, tzinfo=UTC)


@pytest.mark.parametrize(("time", "lost", "runs"), [(99.9, False, True), (100.0, False, False), (50.0, True, False)])
def test_a_task_begins_while_its_lease_lasts(time: float, lost: bool, runs: bool, now: list[float]):
    ran, told = list[str](), list[tuple[Task, float]]()
    setting = Setting()
    setting.begun = lambda task: told.append((task, task.began))
    task = task_of(lambda: ran.append("it"), setting)
    task.until, task.lost, now[0] = 100.0, lost, time
    ended = call(task)
    conclude(task, ended)
    assert task.outcome == (Succeed() if runs else Return())
    assert (ran, told) == ((["it"], [(task, time)]) if runs else ([], []))
    assert task.cancelled is not runs


def test_who_ends_a_task_is_told_when_it_began_and_ended(now: list[float]):
    def works() -> None:
        now[0] = 60.0

    task = task_of(works)
    conclude(task, call(task))
    assert (task.began, task.ended, task.outcome) == (50.0, 60.0, Succeed())


@pytest.mark.parametrize(
    ("ended", "outcome"),
    [(Raised(asyncio.CancelledError()), Return()), (None, Succeed()), (3, Succeed(b"3")), (Return(), Return())],
)
def test_of_a_task_that_is_taken_back_only_a_success_counts(ended: Any, outcome: Any):
    task = task_of(lambda: None)
    task.cancelled = True
    conclude(task, ended)
    assert task.outcome == outcome


@pytest.mark.parametrize(("succeeded", "value"), [(0, None), (1, b"3")])
def test_a_value_is_kept_where_successes_are(succeeded: int, value: bytes | None):
    task = task_of(lambda: 3, Setting(succeeded))
    conclude(task, call(task))
    assert task.outcome == Succeed(value)


@pytest.mark.parametrize(
    ("over", "reason"), [(0.0, ""), (1.0, ""), (1.25, ", and ran on for 1.2 s"), (60.0, ", and ran on for 60.0 s")]
)
def test_a_timed_out_task_says_how_long_it_ran_on(over: float, reason: str, now: list[float]):
    task = task_of(lambda: "done", timeout=2.5, max_attempts=2)
    ended = call(task)
    task.expired, now[0] = True, 52.5 + over
    conclude(task, ended)
    assert task.outcome == Fail(State.TIMED_OUT, "timed out after 2.5 s" + reason)


def test_a_timed_out_task_runs_again_while_attempts_are_left():
    task = task_of(lambda: None, timeout=2, max_attempts=3, backoff=LinearBackoff(1))
    task.expired = True
    conclude(task, Raised(JobTimeout()))
    assert isinstance(task.outcome, Retry)
    assert task.outcome.delay == 1_000_000


@pytest.mark.parametrize(("spent", "expired"), [(61, True), (0, False)])
def test_a_timeout_counts_from_the_beginning_of_the_run(spent: float, expired: bool):
    async def works() -> str:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return "done"

    async def run() -> Any:
        task.began -= spent
        with suppress(TimeoutError):
            return await limited(task, works(), 60)

    task = task_of(works, timeout=60)
    coroutine = call(task)
    coroutine.close()
    ended = asyncio.run(run())
    assert task.expired is expired
    assert ended == (None if expired else "done")


def test_what_expired_stays_so():
    async def works() -> None: ...

    task = task_of(works, timeout=60)
    coroutine = call(task)
    task.expired = True
    asyncio.run(limited(task, coroutine, 60))
    assert task.expired


def test_what_can_t_be_opened_is_broken_with_the_reason():
    task = Task(Setting(), CLAIM, Unopened(Undecodable("no such job")), NOTHING, 1e18, 0.0)
    conclude(task, call(task))
    assert task.outcome == Fail(State.BROKEN, "no such job")


def test_what_can_t_be_made_into_a_job_is_broken_whatever_is_raised(monkeypatch: pytest.MonkeyPatch):
    task = task_of(lambda: None)

    def decode(args: Any) -> Any:
        raise LookupError("a validator's")

    monkeypatch.setattr(type(task.type), "decode", lambda _, args: decode(args))
    conclude(task, call(task))
    assert isinstance(task.outcome, Fail)
    assert task.outcome.state is State.BROKEN
    assert task.outcome.reason.startswith("LookupError: a validator's\n")


@pytest.mark.parametrize("file", ["/a.py", "/~/z.py"])
def test_where_a_job_failed_is_told_wherever_its_file_lies(file: str):
    told: dict[str, Any] = {}
    exec(compile("def work():\n    raise ValueError('what')", file, "exec"), told)
    task = task_of(told["work"])
    conclude(task, call(task))
    assert isinstance(task.outcome, Fail)
    assert f'File "{file}", line 2, in work' in task.outcome.reason


@pytest.mark.parametrize(("depth", "frames"), [(1, 4), (12, 8)])
def test_of_a_deep_stack_the_last_eight_frames_are_told(depth: int, frames: int):
    def down(left: int) -> None:
        if not left:
            raise ValueError("at the bottom")
        on(left - 1)

    def on(left: int) -> None:  # in turns, as a frame that repeats is told once
        down(left)

    task = task_of(lambda: down(depth))
    conclude(task, call(task))
    assert isinstance(task.outcome, Fail)
    assert task.outcome.reason.startswith("ValueError: at the bottom\n")
    assert task.outcome.reason.count("  File ") == frames


@pytest.mark.parametrize(
    ("seconds", "whole"),
    [(0, 0), (-1, 0), (1, 1_000_000), (1e-9, 1), (1e-10, 0), (0.1 + 0.2, 300_000), (2.0000011, 2_000_002)],
)
def test_seconds_are_rounded_up_to_microseconds(seconds: float, whole: int):
    assert microseconds(seconds) == whole


def test_a_moment_is_aware_and_exact_to_the_microsecond():
    assert moment(1_000_001) == datetime(1970, 1, 1, 0, 0, 1, 1, tzinfo=UTC)
