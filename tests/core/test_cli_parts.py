"""The command line's parts: what it reads, what it prints, what it hides, and what it does about dead processes."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from time import monotonic
from typing import Any
from unittest import mock

import msgspec
import pytest
import typer
from typer.main import get_command

from jobcore.backend import Unavailable
from jobcore.cli import logs
from jobcore.cli.app import app
from jobcore.cli.exits import ExitCode, code_of
from jobcore.cli.options import duration
from jobcore.cli.output import counted, in_words, iso, when
from jobcore.cli.processes import LONGEST_PAUSE, WORKED_PAUSE, Place, Pool, Salvage, pause
from jobcore.cli.pulse import Listening, Pulse
from jobcore.cli.secrets import has_password, without_passwords
from jobcore.errors import EnqueueUncertain, InvalidArgument, JobcoreError, Refused, Uncertain, UnknownJob
from jobcore.events import Event, Kind

BOUND = 20.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("1.5", 1.5), ("250ms", 0.25), ("30s", 30), ("5 m", 300), ("1h30m", 5400), ("2d", 172800), ("0", 0)],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1", "1x", "h", "1h soon", "1,5", "inf", "nan"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        duration(text)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "now"), (0.4, "now"), (-59, "59 s ago"), (60, "in 1 min"), (-7199, "1 h ago"), (200_000, "in 2 d")],
)
def test_times_in_words(seconds: float, said: str) -> None:
    assert in_words(round(seconds * 1_000_000)) == said


def test_times_exactly() -> None:
    at = 1_700_000_000_123_456
    assert iso(at) == "2023-11-14T22:13:20.123456Z"
    assert when(at, at + 120_000_000) == "2023-11-14 22:13:20Z (2 min ago)"
    assert (iso(None), when(None, at)) == (None, "")


@pytest.mark.parametrize(("number", "said"), [(0, "0 jobs"), (1, "1 job"), (2, "2 jobs"), (1234, "1,234 jobs")])
def test_numbers_of_things(number: int, said: str) -> None:
    assert counted(number, "job") == said


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://shop:hunter2@db:6379/0", "redis://shop:***@db:6379/0"),
        ("redis://:hunter2@db", "redis://:***@db"),
        ("at postgresql+x://u:p@ss@db/x, no", "at postgresql+x://u:***@db/x, no"),
        ("postgresql://db/x?user=u&password=hunter2&a=b", "postgresql://db/x?user=u&password=***&a=b"),
        ("redis://db:6379 and a@b.c: see http://docs/x", "redis://db:6379 and a@b.c: see http://docs/x"),
    ],
)
def test_passwords_are_left_out(text: str, shown: str) -> None:
    assert without_passwords(text) == shown


@pytest.mark.parametrize("url", ["redis://:x@h", "postgresql://u:x@h/d", "postgresql://h/d?password=x"])
def test_a_url_with_a_password_is_known_as_one(url: str) -> None:
    assert has_password(url)
    assert not has_password("postgresql://u@h/d?application_name=x")


def test_logs_are_plain_lines_without_passwords() -> None:
    record = logging.LogRecord("jobcore.mail", logging.ERROR, "", 0, "away: %s", ("redis://u:hunter2@h",), None)
    record.created, record.msecs = 1_700_000_000.5, 500.0
    assert logs.PLAIN.format(record).startswith("2023-11-14T22:13:20.500Z ERROR")
    assert logs.PLAIN.format(record).endswith("jobcore.mail: away: redis://u:***@h")


def test_logs_have_a_layout_for_people_at_a_terminal_and_no_passwords_there_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record = logging.LogRecord("jobcore.mail", logging.ERROR, "", 0, "away: %s", ("redis://u:hunter2@h",), None)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    handler = logs._handler()
    assert type(handler).__name__ == "RichHandler"
    assert handler.format(record) == f"{record.process} jobcore.mail: away: redis://u:***@h"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidArgument("x"), 2),
        (UnknownJob("x"), 2),
        (Unavailable("x"), 3),
        (Uncertain("x"), 4),
        (EnqueueUncertain("x", ["a"]), 4),
        (Refused("x"), 1),
        (JobcoreError("x"), 1),
    ],
)
def test_errors_have_exit_codes(error: JobcoreError, code: int) -> None:
    assert code_of(error) == code


# -- processes


@pytest.fixture
def bounded() -> Iterator[None]:
    """Ends a test that waits in the main thread for longer than the bound."""

    def end(_number: int, _frame: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(round(BOUND))
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def test_a_process_that_dies_at_once_again_and_again_is_waited_for() -> None:
    pauses = [pause(deaths) for deaths in range(20)]
    assert pauses[:2] == [0, 0]
    assert 0 < pauses[2] < 2
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE


@pytest.mark.parametrize("began", [True, False])
def test_one_that_had_begun_to_work_is_not_waited_for_so_long(began: bool) -> None:
    """It died of a job, not of how it was started; the other jobs are not to wait for it."""
    place, child = Place(), mock.Mock(age=0.0, heard=Listening())
    if began:
        child.heard.hear(b"[]")
    for _ in range(20):
        place.child = child
        place.vacate(-signal.SIGKILL, again=True)
    assert place.due is not None
    assert (place.due - monotonic() <= WORKED_PAUSE) == began


def test_a_parent_that_reads_nothing_does_not_hold_up_its_child() -> None:
    """Whole signs of life are dropped: what is read later is no torn line."""
    parent, child = socket.socketpair()
    with parent, child:
        child.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # as small as the system makes it
        job = Event(Kind.STARTED, "mail", "x" * 200, "send", seconds=1.0)
        pulse = Pulse(mock.Mock(running=lambda: [job]), 120.0, child.fileno())
        beating = threading.Thread(target=lambda: [pulse.beat() for _ in range(1000)], daemon=True)
        beating.start()
        beating.join(BOUND)
        assert not beating.is_alive()
        pulse.stop()
        child.shutdown(socket.SHUT_WR)
        with parent.makefile("rb") as lines:
            heard = [msgspec.json.decode(line) for line in lines]
    assert 0 < len(heard) < 1000
    assert heard == [[f"send {'x' * 200} of mail, for 1 s"]] * len(heard)


class Graves:
    """A recovery that notes the holders that were brought back, and fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.holders: SimpleQueue[str] = SimpleQueue()
        self.failures = failures

    def __call__(self, holder: str) -> int:
        if self.failures:
            self.failures -= 1
            raise Unavailable("away")
        self.holders.put(holder)
        return 1


def pool_of(count: int, script: str, graves: Graves, *arguments: str, until_empty: bool = False) -> Pool:
    command = [sys.executable, "-S", "-c", script, *arguments]
    return Pool(count, command, dict(os.environ), Salvage(graves), lease=120.0, until_empty=until_empty)


FIRST_TIME = "import os, sys; first = not os.path.exists(sys.argv[1]); open(sys.argv[1], 'a').write('x')\n"


@pytest.mark.usefixtures("bounded")
def test_children_that_are_done_are_not_replaced() -> None:
    graves = Graves()
    assert pool_of(2, "", graves, until_empty=True).run() == 0
    assert graves.holders.get(timeout=BOUND) != graves.holders.get(timeout=BOUND)  # each had its own
    assert graves.holders.empty()


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize("death", ["os.kill(os.getpid(), 9)", f"sys.exit({ExitCode.STUCK})"])
def test_a_child_that_is_killed_or_stuck_is_replaced_and_its_jobs_are_brought_back(tmp_path: Path, death: str) -> None:
    graves = Graves()
    script = f"{FIRST_TIME}if first: {death}"
    assert pool_of(1, script, graves, f"{tmp_path}/runs", until_empty=True).run() == 0
    first, second = graves.holders.get(timeout=BOUND), graves.holders.get(timeout=BOUND)
    assert first != second


@pytest.mark.usefixtures("bounded")
def test_a_child_that_fails_ends_a_run_until_empty() -> None:
    assert pool_of(1, "import sys; sys.exit(3)", Graves(), until_empty=True).run() == 3


@pytest.mark.usefixtures("bounded")
def test_a_store_that_is_away_is_tried_again() -> None:
    graves = Graves(failures=1)
    assert pool_of(1, "", graves, until_empty=True).run() == 0
    assert graves.holders.get(timeout=BOUND)


WAITS = """
import os, signal, sys
told = os.open(sys.argv[1], os.O_WRONLY)
stopping = {signal.SIGTERM, signal.SIGINT}
signal.pthread_sigmask(signal.SIG_BLOCK, stopping)
os.write(told, b"r")
for _ in range(int(sys.argv[2])):
    signal.sigwait(stopping)
    os.write(told, b"t")
"""


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize(("signals", "child_takes"), [(1, 1), (2, 2), (3, 9)])
def test_signals_are_passed_on_to_children_which_are_not_replaced(
    tmp_path: Path, signals: int, child_takes: int
) -> None:
    """The third kills: this child would wait for more."""
    os.mkfifo(tmp_path / "told")
    pool = pool_of(1, WAITS, Graves(), f"{tmp_path}/told", str(child_takes))

    def stop() -> None:
        with (tmp_path / "told").open("rb", buffering=0) as told:
            for _ in range(signals):
                told.read(1)  # it has its handlers, or has taken the last signal: they don't queue
                os.kill(os.getpid(), signal.SIGTERM)
            told.readall()

    thread = threading.Thread(target=stop)
    thread.start()
    assert pool.run() == 0
    thread.join(BOUND)
    assert not thread.is_alive()


@pytest.mark.usefixtures("bounded")
def test_a_child_sees_that_its_parent_is_gone(tmp_path: Path) -> None:
    script = "import os, sys; os.write(1, b'r'); os.read(int(sys.argv[sys.argv.index('--lifeline') + 1]), 1)"
    parent = f"""
import os, sys
from jobcore.cli.child import Child
Child([sys.executable, "-S", "-c", {script!r}], dict(os.environ), print)
os.read(0, 1)
os.kill(os.getpid(), 9)
"""
    with subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.read(1) == b"r"  # the child lives
        process.stdin.write(b"x")
        process.stdin.flush()
        assert process.stdout.read() == b""  # nobody has it open any more: the child has ended as well
        assert process.wait(BOUND) == -signal.SIGKILL


# -- what is written about it


COMMANDS: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]  # it is a group of commands


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_and_option_is_described(name: str) -> None:
    pages = "".join(path.read_text() for path in (Path(__file__).parents[2] / "docs").glob("*.md"))
    visible = [opt for each in COMMANDS[name].params if not getattr(each, "hidden", False) for opt in each.opts]
    missing = [option for option in visible if option.startswith("--") and option not in pages]
    assert (f"`{name}`" in pages or f"jobcore {name} " in pages, missing) == (True, [])


def test_each_exit_code_is_described() -> None:
    page = (Path(__file__).parents[2] / "docs" / "operating.md").read_text()
    assert [code for code in ExitCode if f"\n| {code.value} |" not in page] == []
