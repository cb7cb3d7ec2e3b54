"""docs/queue.md says what is so: its code runs, and it leaves out nothing of the face."""

import inspect
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

import jobcore
from jobcore import JobContext, Monitor, Queue, State, Worker, errors
from jobcore.backends.memory import MemoryBackend
from jobcore.events import Event, Kind
from jobcore.operations import Operations
from jobcore.testing import ManualClock

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "queue.md").read_text()


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
def test_its_code_runs(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    queue: Queue[Any] = Queue("mail", "memory://")
    reminded: list[str] = []

    @queue.job
    def remind(to: str) -> None:
        reminded.append(to)

    names = {
        "__name__": __name__, "Counter": Counter, "Event": Event, "Iterator": Iterator, "JobContext": JobContext,
        "Kind": Kind, "ManualClock": ManualClock, "MemoryBackend": MemoryBackend, "Queue": Queue, "Sequence": Sequence,
        "State": State, "Worker": Worker, "closing": closing, "contextmanager": contextmanager, "queue": queue,
        "remind": remind, "sqlite3": sqlite3,
    }  # fmt: skip
    exec(block, names)
    assert reminded == (["a@b.c", "c@d.e"] if "remind" in block else [])


@pytest.mark.parametrize("made", [Queue, Worker, Monitor])
def test_each_argument_is_told(made: type) -> None:
    own = [name for name in inspect.signature(made).parameters if name not in {"queues", "policy"}]
    assert [name for name in own if f"`{name}`" not in PAGE] == []


def test_each_verb_event_error_and_field_is_told() -> None:
    verbs = [name for name, it in vars(Operations).items() if inspect.isfunction(it) and name[0] != "_"]
    raised = {name for name, it in vars(errors).items() if inspect.isclass(it) and issubclass(it, Exception)}
    fields = [*JobContext.__annotations__, *Event.__struct_fields__, *Kind]
    told = [*(f"queue.{verb}(" for verb in verbs), *(f"`{name}`" for name in fields if name[0] != "_")]
    assert [text for text in told if text not in PAGE] == []
    assert [name for name in raised - {"BackendError", "Conflict"} if name not in PAGE] == []


def test_each_public_name_is_told_somewhere() -> None:
    pages = "".join(page.read_text() for page in DOCS.glob("*.md"))
    assert [name for name in jobcore.__all__ if not re.search(rf"\b{name}\b", pages)] == []
