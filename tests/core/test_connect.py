"""From URLs to backends: late, shared, and with errors that say what to do and show no password."""

import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pytest

import jobcore
from jobcore import Queue, connect, open_backend
from jobcore.backend import Backend
from jobcore.backends.memory import MemoryBackend
from jobcore.connect import Shared
from jobcore.errors import ConfigurationError, QueueClosed
from jobcore.testing import ManualClock

VARIABLE = "JOBCORE_URL"


def queue(name: str = "q", source: Any = None) -> Queue[None]:
    return Queue(name, source)


def test_a_url_is_read_at_the_first_use(monkeypatch: pytest.MonkeyPatch) -> None:
    late = queue()
    monkeypatch.setenv(VARIABLE, "memory://late")
    assert late.backend is queue("other", "memory://late").backend
    monkeypatch.setenv(VARIABLE, "memory://later")
    assert late.backend is queue("other", "memory://late").backend


@pytest.mark.parametrize("value", [None, ""])
def test_without_any_url_it_says_where_one_goes(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv(VARIABLE, raising=False) if value is None else monkeypatch.setenv(VARIABLE, value)
    with pytest.raises(ConfigurationError, match=r"Queue\(name, 'memory://'\), or set JOBCORE_URL"):
        queue().counts()


def test_a_queue_that_failed_to_open_opens_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    late = queue()
    with pytest.raises(ConfigurationError):
        late.counts()
    monkeypatch.setenv(VARIABLE, "memory://")
    assert late.counts().ready == 0


def test_equal_urls_share_a_backend_but_for_private_memory() -> None:
    assert queue("a", "memory://shared").backend is queue("b", "memory://shared").backend
    assert queue("a", "memory://shared").backend is not queue("b", "memory://another").backend
    for private in ("memory://", "memory:///"):
        assert queue("a", private).backend is not queue("b", private).backend


def test_a_shared_backend_is_closed_by_its_last_user() -> None:
    first, second = queue("a", "memory://users"), queue("b", "memory://users")
    backend = first.backend
    assert second.backend is backend
    first.close()
    first.close()
    assert second.counts().ready == 0
    second.close()
    with pytest.raises(QueueClosed):
        backend.counts("a")
    assert queue("c", "memory://users").backend is not backend


def test_sharing_opens_once() -> None:
    opened: list[str] = []

    def connect(url: str) -> Backend:
        opened.append(url)
        return MemoryBackend()

    shared = Shared(connect)
    assert shared.join("a://") is shared.join("a://")
    shared.join("b://")
    assert opened == ["a://", "b://"]


def test_a_function_that_gives_a_backend_is_called_once_at_the_first_use() -> None:
    made: list[MemoryBackend] = []

    def make() -> MemoryBackend:
        made.append(MemoryBackend())
        return made[-1]

    lazy = queue("q", make)
    assert made == []
    assert lazy.backend is lazy.backend is made[0]
    assert isinstance(queue("q", MemoryBackend).backend, MemoryBackend)  # a class is such a function


def test_an_unknown_scheme_lists_what_is_installed() -> None:
    with pytest.raises(ConfigurationError, match="no driver is installed for mystore://; there are: memory, postgres"):
        open_backend("mystore://user:secret@host")


@pytest.mark.parametrize("url", ["localhost:6379", "user:secret@host", "", "secret"])
def test_what_is_no_url_is_not_shown(url: str) -> None:
    with pytest.raises(ConfigurationError, match="begins with a scheme") as caught:
        open_backend(url)
    assert "secret" not in str(caught.value)


def test_a_misspelt_option_names_itself() -> None:
    with pytest.raises(ConfigurationError, match="memory:// has no option 'tmeout'"):
        queue("q", "memory://?tmeout=3").counts()


@pytest.mark.parametrize(
    ("scheme", "library", "extra"),
    [("redis", "redis", "redis"), ("postgresql", "sqlalchemy", "postgres"), ("postgresql", "psycopg", "postgres")],
)
def test_a_missing_library_names_the_extra_that_brings_it(
    monkeypatch: pytest.MonkeyPatch, scheme: str, library: str, extra: str
) -> None:
    for name in [name for name in sys.modules if name.startswith(("jobcore.backends.", library))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ConfigurationError) as caught:
        open_backend(f"{scheme}://user:secret@host/db")
    assert f'pip install "jobcore-queue[{extra}]"' in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_strangers_driver_is_found_in_the_same_way(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = EntryPoint("mystore", "jobcore.backends.memory:MemoryBackend", connect.GROUP)

    def found(*, group: str, name: str = "mystore") -> list[EntryPoint]:
        return [theirs] if (group, name) == (connect.GROUP, "mystore") else []

    monkeypatch.setattr(connect, "entry_points", found)
    monkeypatch.setattr("jobcore.backends.memory.MemoryBackend", lambda url: url)
    opened: object = open_backend("mystore://somewhere")
    assert opened == "mystore://somewhere"
    missing = EntryPoint("mystore", "no_such_library.driver:connect", connect.GROUP)
    monkeypatch.setattr(connect, "entry_points", lambda **_: [missing])
    with pytest.raises(ConfigurationError, match="mystore:// needs no_such_library: install it"):
        open_backend("mystore://somewhere")


def test_a_clock_is_handed_to_drivers_that_take_one(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ManualClock()
    backend = open_backend("memory://", clock=clock)
    assert backend.claim("q", 0, 1, "me", bytes(16), 0).now == clock.now()
    theirs = EntryPoint("mystore", "jobcore.backends.memory:Store", connect.GROUP)
    monkeypatch.setattr(connect, "entry_points", lambda **_: [theirs])
    assert not connect.takes_clock("mystore://somewhere")
    with pytest.raises(ConfigurationError, match="mystore:// takes no clock"):
        open_backend("mystore://somewhere", clock=clock)


@pytest.mark.parametrize("found", entry_points(group=connect.GROUP), ids=lambda found: found.name)
def test_our_drivers_take_a_clock(found: EntryPoint) -> None:
    assert connect.takes_clock(f"{found.name}://")


def test_our_drivers_are_entry_points() -> None:
    schemes = {found.name for found in entry_points(group=connect.GROUP)}
    assert {"memory", "redis", "rediss", "unix", "redis+cluster", "postgresql", "postgres"} <= schemes


def test_importing_jobcore_loads_no_driver_and_no_database_library() -> None:
    code = (
        "import sys, jobcore; from jobcore import *; queue = Queue('q', 'redis://localhost'); "
        "loaded = [n for n in sys.modules if n.split('.')[0] in ('redis', 'psycopg', 'sqlalchemy', 'pydantic') "
        "or n.startswith('jobcore.backends.')]; print(loaded)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


def test_the_root_has_at_most_twenty_names() -> None:
    assert len(jobcore.__all__) <= 20
    assert all(hasattr(jobcore, name) for name in jobcore.__all__)
