"""What the doctor finds in queues, whatever they are stored in, and how it says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from jobcore import Job, Queue, clocks
from jobcore.backend import Counts, Fail, Finding, Level, Push, Refused, State, Succeed
from jobcore.backends.memory import MemoryBackend
from jobcore.backends.sqlite import SqliteBackend
from jobcore.cli.app import app
from jobcore.doctor import examine_queue, examine_store
from jobcore.testing import ManualClock

MINUTE = 60_000_000
ROOMY = 1 << 30


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    """The store's clock and this machine's."""
    clock = ManualClock()
    monkeypatch.setattr(clocks, "wall", lambda: clock.now() / 1_000_000)
    return clock


@pytest.fixture
def queue(clock: ManualClock) -> Queue[None]:
    return Queue("mail", MemoryBackend(clock), keep_failed=3)


def put(queue: Queue[None], *ids: str, payload: bytes = b'{"job":"send","args":{}}') -> None:
    queue.backend.push(queue.name, [Push(id, payload) for id in ids])


def settled(queue: Queue[None], outcome: Fail | Succeed, lease: int = MINUTE, limit: int = 100) -> None:
    claims = queue.backend.claim(queue.name, limit, lease, "h", b"0123456789abcdef", ROOMY).claims
    queue.backend.settle(queue.name, [(claim.hold, outcome) for claim in claims], queue.keep)


def about(queue: Queue[None], *, decode: bool = False) -> dict[str, Finding]:
    return {finding.about: finding for finding in examine_queue(queue, decode=decode)}


def test_a_quiet_queue_is_sound(queue: Queue[None]) -> None:
    put(queue, "a", "b")
    assert about(queue) == {"jobs": Finding(Level.OK, "jobs", "2 ready")}


def test_leases_that_ended_and_nobody_took_over(queue: Queue[None], clock: ManualClock) -> None:
    put(queue, "a", "b")
    queue.backend.claim("mail", 10, MINUTE, "gone", b"0123456789abcdef", ROOMY)
    clock.advance(60 + 59)
    assert "monitors" not in about(queue)
    clock.advance(2)
    found = about(queue)["monitors"]
    assert (found.level, found.found) == (
        Level.DANGER,
        "2 running jobs whose lease ended up to 1 min ago have not been taken over",
    )


def test_leases_about_to_end(queue: Queue[None], clock: ManualClock) -> None:
    put(queue, "a")
    queue.backend.claim("mail", 10, MINUTE, "starved", b"0123456789abcdef", ROOMY)
    assert "leases" not in about(queue)
    clock.advance(55)
    assert about(queue)["leases"].level is Level.NOTE


def test_jobs_that_nobody_runs(queue: Queue[None], clock: ManualClock) -> None:
    put(queue, "a")
    clock.advance(61)
    assert about(queue)["workers"].found == "a job has been ready for 1 min, with 1 ready and 0 running"


def test_jobs_that_come_faster_than_they_are_run(queue: Queue[None], clock: ManualClock) -> None:
    put(queue, "a", "b")
    queue.backend.claim("mail", 1, 100 * MINUTE, "busy", b"0123456789abcdef", ROOMY)
    clock.advance(599)
    assert set(about(queue)) == {"jobs"}
    clock.advance(2)
    assert about(queue)["backlog"].level is Level.WARNING


def test_failed_jobs_at_their_cap(queue: Queue[None]) -> None:
    put(queue, "a", "b", "c", "d")
    settled(queue, Fail(State.FAILED, "no"), limit=2)
    assert "failed jobs" not in about(queue)
    settled(queue, Fail(State.TIMED_OUT, "slow"))
    assert about(queue)["failed jobs"].found == "3 are kept, and no more will be"


def test_broken_jobs(queue: Queue[None], monkeypatch: pytest.MonkeyPatch) -> None:
    put(queue, "a")
    settled(queue, Fail(State.BROKEN, "unknown"))
    assert about(queue)["broken jobs"].level is Level.NOTE
    monkeypatch.setattr("jobcore.doctor.MANY_BROKEN", 1)
    assert about(queue)["broken jobs"].level is Level.WARNING


def test_jobs_that_this_program_does_not_know(queue: Queue[None]) -> None:
    @queue.job
    @dataclass(frozen=True)
    class Known(Job):
        to: str

        def __post_init__(self) -> None:
            if not self.to:
                raise ValueError("to whom?")

        def run(self) -> None: ...

    queue.enqueue(Known("x"))
    put(queue, "a", "b", payload=b'{"job":"Unknown","args":{}}')
    put(queue, "c", payload=b'{"job":"Known","args":{"to":1}}')
    put(queue, "d", payload=b'{"job":"Known","args":{"to":""}}')
    assert set(about(queue)) == {"jobs"}  # unless what is registered here is what workers know
    found = [finding.found for finding in examine_queue(queue, decode=True)]
    assert len(found) == 3
    assert found[0].startswith("2 of the first 1,000 queued: ")
    assert "Unknown" in found[0]


def test_a_driver_that_cannot_tell_is_said_to_be_one() -> None:
    class StrangersBackend(MemoryBackend):
        confined = None

    (found,) = examine_store(StrangersBackend())
    assert (found.level, found.found) == (Level.NOTE, "StrangersBackend can't say what its store guarantees")


# -- the command

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JOBCORE_URL", raising=False)
    return lambda *arguments: CliRunner(env={"COLUMNS": "300"}).invoke(app, arguments)


@pytest.fixture
def stored(tmp_path: Path) -> str:
    """The URL of a file with a job in each of two queues."""
    backend = SqliteBackend(tmp_path / "jobs.db")
    backend.push("mail", [Push("a", b'{"job":"send","args":{}}')])
    backend.push("video", [Push("a", b'{"job":"cut","args":{}}')])
    backend.close()
    return "sqlite:///jobs.db"


def test_all_queues_of_a_store_are_looked_at(run: Run, stored: str) -> None:
    result = run("doctor", stored, "--json")
    told = json.loads(result.stdout)
    assert [one["where"] for one in told["findings"] if one["about"] == "jobs"] == ["mail", "video"]
    assert (result.exit_code, told["level"] in {"ok", "note"}) == (0, True)


def test_only_the_queues_that_are_named_are_looked_at(run: Run, stored: str) -> None:
    told = json.loads(run("doctor", "video", "--url", stored, "--json").stdout)
    assert {one["where"] for one in told["findings"]} == {"store", "video"}


def test_a_name_that_holds_nothing_is_not_passed_over_as_sound(run: Run, stored: str) -> None:
    assert "queue 'vidoe' holds no jobs; the store has mail, video" in run("doctor", "vidoe", stored).stderr
    assert "holds no jobs" not in run("doctor", "video", stored).stderr


def test_a_warning_says_what_follows_and_what_to_do_and_fails(run: Run, stored: str) -> None:
    result = run("doctor", f"{stored}?synchronous=NORMAL")
    assert result.exit_code == 1
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    at = lines.index("WARNING store: durability synchronous=NORMAL")
    assert [line[:4] for line in lines[at + 1 : at + 3]] == ["so: ", "do: "]
    assert run("doctor", f"{stored}?synchronous=NORMAL", "--fail-on", "danger").exit_code == 0


def test_the_jobs_of_a_program_are_decoded(
    run: Run, stored: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shopdoctor.py").write_text("from jobcore import Queue\nmail = Queue('mail')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    result = run("doctor", stored, "shopdoctor:mail")
    assert result.exit_code == 1
    assert "unknown jobs" in result.stdout


@pytest.mark.parametrize(
    ("refused", "targets"), [("queues", ["sqlite:///jobs.db"]), ("counts", ["video", "sqlite:///jobs.db"])]
)
def test_what_it_may_not_read_hides_nothing_of_the_store(
    run: Run, stored: str, monkeypatch: pytest.MonkeyPatch, refused: str, targets: list[str]
) -> None:
    def refuse(*_: object) -> Counts:
        raise Refused("permission denied for table jobs")

    monkeypatch.setattr(SqliteBackend, refused, refuse)
    result = run("doctor", *targets, "--json")
    told = {one["about"]: one for one in json.loads(result.stdout)["findings"]}
    assert {"file", "durability", "queues"} <= set(told)
    assert (told["queues"]["level"], told["queues"]["found"]) == (
        "note",
        "they can't be looked at: permission denied for table jobs",
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "which store?"),
        (("sqlite:///a.db", "sqlite:///b.db"), "one store at a time"),
        (("mail",), "where is queue"),
    ],
)
def test_what_store_is_asked_for(run: Run, arguments: tuple[str, ...], said: str) -> None:
    result = run("doctor", *arguments)
    assert (result.exit_code, said in result.stderr) == (2, True)


def test_status_without_names_counts_all_queues(run: Run, stored: str) -> None:
    told = json.loads(run("status", "--url", stored, "--json").stdout)
    assert [row["queue"] for row in told["queues"]] == ["mail", "video"]


def test_status_of_a_name_that_holds_nothing_says_which_do(run: Run, stored: str) -> None:
    assert "the store has mail, video" in run("status", "mial", "--url", stored).stderr


@pytest.mark.parametrize(
    "command",
    [
        ("status",),
        ("status", "mail"),
        ("list", "mail", "ready"),
        ("show", "mail", "a"),
        ("debug", "mail"),
        ("redrive", "mail", "a"),
        ("remove", "mail", "a"),
        ("destroy", "mail", "--yes"),
    ],
)
def test_a_store_that_is_not_there_is_said_not_to_be_and_none_is_made(
    run: Run, tmp_path: Path, command: tuple[str, ...]
) -> None:
    result = run(*command, "--url", "sqlite:///typo.db")
    assert (result.exit_code, f"there is no file {tmp_path}/typo.db yet" in result.stderr) == (2, True), result.output
    assert not (tmp_path / "typo.db").exists()


@pytest.mark.parametrize("queues", [(), ("mail",)])
def test_the_doctor_notes_a_store_that_is_not_there_and_makes_none(
    run: Run, tmp_path: Path, queues: tuple[str, ...]
) -> None:
    told = json.loads(run("doctor", "sqlite:///typo.db", *queues, "--json").stdout)
    assert {(one["where"], one["level"]) for one in told["findings"] if one["about"] == "file"} == {("store", "note")}
    assert {one["where"] for one in told["findings"]} == {"store"}
    assert not (tmp_path / "typo.db").exists()


def test_an_empty_store_is_said_to_be_one(run: Run, stored: str) -> None:
    run("destroy", "mail", "--url", stored, "--yes")
    run("destroy", "video", "--url", stored, "--yes")
    result = run("status", "--url", stored)
    assert (result.exit_code, result.stderr) == (0, "the store holds no jobs\n")


def test_a_store_in_memory_can_only_be_looked_at_from_within(run: Run) -> None:
    told = json.loads(run("doctor", "memory://", "--json").stdout)
    assert [(one["level"], one["found"]) for one in told["findings"]] == [
        ("danger", "it is kept in the memory of one process")
    ]
    status = run("status", "mail", "--url", "memory://")
    assert (status.exit_code, "what others keep in theirs can't be seen from here" in status.stderr) == (0, True)
