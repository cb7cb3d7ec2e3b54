"""docs/jobs.md says what is so: its code runs, and its tables are those of the code."""

import ast
import asyncio
import inspect
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jobcore import ExceptionBehavior, Job, JobContext, Queue, Result, Retry, Success
from jobcore.job import JobOptions, Policy

PAGE = (Path(__file__).parents[2] / "docs" / "jobs.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


class Mailer:
    """What the page's examples send with."""


class Bank:
    """What the page's examples charge with."""


@pytest.mark.parametrize("block", blocks("python"))
def test_its_code_runs(block: str) -> None:
    queue: Queue[Any] = Queue("page", "memory://")
    names: dict[str, Any] = {
        "__name__": __name__, "Any": Any, "Bank": Bank, "ExceptionBehavior": ExceptionBehavior, "Job": Job,
        "JobContext": JobContext, "Mailer": Mailer, "Result": Result, "Retry": Retry, "Success": Success,
        "dataclass": dataclass, "queue": queue,
    }  # fmt: skip
    code = compile(block, "jobs.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    running = eval(code, names)  # noqa: S307 -- our own page
    if inspect.iscoroutine(running):
        asyncio.run(running)
    assert list(queue.registry)


def test_its_payload_is_the_wire_format() -> None:
    queue: Queue[Any] = Queue("page", "memory://")

    @queue.job
    @dataclass
    class SendEmail(Job[object]):
        to: str
        subject: str

        def run(self) -> None: ...

    (payload,) = blocks("json")
    job_type, args = queue.registry.open(payload.encode())
    job = job_type.decode(args)
    assert msgspec.json.decode(job_type.encode(job)) == msgspec.json.decode(payload)


def test_its_table_of_policy_is_the_codes() -> None:
    section = PAGE[PAGE.index("## Policy") : PAGE.index("## Enqueuing")]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", section, re.MULTILINE))
    assert set(rows) == set(JobOptions.__annotations__)
    defaults = Policy()
    for each in fields(Policy):
        said, default = rows[each.name].strip("`"), getattr(defaults, each.name)
        assert said in (repr(default), getattr(default, "name", None), "ExponentialBackoff(1.0)")
    assert repr(defaults.backoff).startswith("ExponentialBackoff(delay=1.0,")
