"""The command line, in this process, on memory."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from jobcore import Queue, State, Worker
from jobcore.backend import Claim, Fail, Push
from jobcore.cli.app import app

SHOP = """
import os
from jobcore import Queue
from jobcore.backend import Unavailable, Uncertain
from jobcore.backends.memory import MemoryBackend

mail = Queue("mail", "memory://", keep_succeeded=100)
video = Queue("video", "memory://")
price = 3

class Troubled(MemoryBackend):
    def push(self, queue, pushes):
        raise Uncertain("no answer")
    def counts(self, queue):
        raise Unavailable("connecting to redis://shop:hunter2@db:6379 failed")

troubled = Queue("troubled", Troubled)

@mail.job
def send(to: str, copies: int = 1) -> str:
    if copies == 0:
        raise ValueError("nothing [red]to send[/]")
    return to

troubled.job(name="send")(send.__wrapped__)
"""
MADE = '{"to": "a@b.c"}'

Run = Callable[..., Result]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A program with queues, in the current directory."""
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "broken.py").write_text("import shop_that_is_not_there")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delenv("JOBCORE_URL", raising=False)
    shop = import_module("shop")
    yield shop
    for queue in (shop.mail, shop.video, shop.troubled):
        queue.close()
    for module in ("shop", "broken"):
        sys.modules.pop(module, None)


@pytest.fixture
def mail(shop: Any) -> Queue[None]:
    queue: Queue[None] = shop.mail
    return queue


@pytest.fixture
def run() -> Run:
    def run(*arguments: str, input: str = "") -> Result:
        return CliRunner(env={"COLUMNS": "300"}).invoke(app, arguments, input=input)

    return run


@pytest.fixture
def printed(run: Run) -> Callable[..., Any]:
    """Runs a command that has to succeed, and gives its JSON."""

    def printed(*arguments: str) -> Any:
        result = run(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return printed


def work_off(queue: Queue[Any]) -> None:
    Worker(queue, monitor=False).run(until_empty=True)


# -- finding queues


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("nowhere:mail", "no module 'nowhere'"),
        ("shop.nowhere:mail", "no module 'shop.nowhere'"),
        ("shop:post", "no attribute 'post'. There are: shop:mail, shop:video, shop:troubled"),
        ("shop:price", "no Queue but a int. There are: shop:mail"),
        ("shop:", "which queue? There are: shop:mail"),
        ("string:", "which queue? Module 'string' has none; a queue is written as module:attribute"),
        (":mail", "write module:attribute"),
        ("mail", "Say --url or set JOBCORE_URL"),
        ("bad name", "Say --url or set JOBCORE_URL"),
    ],
)
@pytest.mark.usefixtures("shop")
def test_a_queue_that_is_not_there_is_a_usage_error_that_says_what_is(run: Run, target: str, said: str) -> None:
    result = run("status", target)
    assert (result.exit_code, said in result.stderr) == (2, True), result.stderr


@pytest.mark.usefixtures("shop")
def test_a_module_that_cannot_import_another_is_not_said_to_be_missing(run: Run) -> None:
    result = run("status", "broken:mail")
    assert isinstance(result.exception, ModuleNotFoundError)
    assert result.exception.name == "shop_that_is_not_there"


@pytest.mark.usefixtures("shop")
def test_a_command_that_runs_jobs_wants_a_module(run: Run) -> None:
    assert run("worker", "mail", "--url", "memory://", "--until-empty").exit_code == 2
    assert run("enqueue", "mail", "send", MADE, "--url", "memory://").exit_code == 2


def test_the_current_directory_is_searched(
    run: Run, tmp_path: Path, shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    del sys.modules["shop"]
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != str(tmp_path)])
    assert run("status", "shop:mail").exit_code == 0
    sys.modules["shop"].mail.close()


def test_a_url_overrides_the_queue_s_own(printed: Callable[..., Any], mail: Queue[None]) -> None:
    printed("enqueue", "shop:mail", "send", MADE, "--url", "memory://elsewhere")
    assert mail.counts().ready == 0
    assert printed("status", "mail", "--url", "memory://elsewhere")["queues"][0]["ready"] == 1


def test_a_url_may_come_from_the_environment(
    printed: Callable[..., Any], run: Run, mail: Queue[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("status", "mail", "--url", "env:SHOP_URL").exit_code == 2
    monkeypatch.setenv("SHOP_URL", "memory://shop")
    printed("enqueue", "shop:mail", "send", MADE, "--url", "env:SHOP_URL")
    monkeypatch.setenv("JOBCORE_URL", "memory://shop")
    assert printed("status", "mail")["queues"][0]["ready"] == 1
    assert printed("status", "shop:mail")["queues"][0]["ready"] == 0  # a queue's own backend goes before


# -- enqueue


def test_enqueue_stores_a_job_and_prints_its_id(run: Run, shop: Any, mail: Queue[None]) -> None:
    result = run("enqueue", "shop:mail", "send", MADE, "--priority", "7")
    entry = mail.find(result.stdout.strip())
    assert entry is not None
    assert (mail.jobs(), entry.priority) == ([shop.send.job("a@b.c")], 7)


def test_enqueue_reads_fields_from_stdin(run: Run, shop: Any, mail: Queue[None]) -> None:
    assert run("enqueue", "shop:mail", "send", "-", input=MADE).exit_code == 0
    assert mail.jobs() == [shop.send.job("a@b.c")]


def test_enqueue_of_an_id_that_is_there_stores_nothing_and_says_so(
    run: Run, printed: Callable[..., Any], mail: Queue[None]
) -> None:
    first = printed("enqueue", "shop:mail", "send", MADE, "--id", "one")
    assert first == {"queue": "mail", "id": "one", "created": True, "state": "ready"}
    again = run("enqueue", "shop:mail", "send", MADE, "--id", "one")
    assert (again.exit_code, again.stdout, mail.counts().ready) == (0, "one\n", 1)
    assert "ready already" in again.stderr


def test_enqueue_says_of_the_store_that_was_named_that_it_is_gone(run: Run, shop: Any, tmp_path: Path) -> None:
    shop.video.job(name="send")(shop.send.__wrapped__)
    with shop.video.using("sqlite:///own.db"):
        result = run("enqueue", "shop:video", "send", MADE, "--url", "memory://")
    assert "the job ends with this command" in result.stderr
    assert not (tmp_path / "own.db").exists()  # which nobody spoke of


@pytest.mark.parametrize("option", [("--delay", "1h30m"), ("--run-at", "2200-01-01T00:00:00+01:00")])
def test_enqueue_for_later(printed: Callable[..., Any], mail: Queue[None], option: tuple[str, str]) -> None:
    assert printed("enqueue", "shop:mail", "send", MADE, *option)["state"] == "scheduled"
    assert mail.counts().scheduled == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["post"], "it has: send"),
        (["send"], "missing required field `to`"),
        (["send", '{"to": 3}'], "$.to"),
        (["send", '{"to": "a", "cc": "b"}'], "unknown field `cc`"),
        (["send", "{"], "send"),
        (["send", MADE, "--delay", "soon"], "write seconds"),
        (["send", MADE, "--delay", "-1"], "write seconds"),
        (["send", MADE, "--run-at", "2200-01-01T00:00:00"], "no time zone"),
        (["send", MADE, "--run-at", "noon"], "Invalid value for --run-at: write a time as in"),
        (["send", MADE, "--priority", "101"], "--priority"),
        (["send", MADE, "--delay", "1", "--run-at", "2200-01-01T00:00Z"], "exclude each other"),
    ],
)
def test_what_cannot_be_run_is_not_stored(run: Run, mail: Queue[None], arguments: list[str], said: str) -> None:
    result = run("enqueue", "shop:mail", *arguments)
    assert (result.exit_code, said in " ".join(result.stderr.split())) == (2, True), result.stderr
    assert mail.counts().ready == mail.counts().scheduled == 0


# -- looking


def test_status_counts_by_state(run: Run, printed: Callable[..., Any], shop: Any) -> None:
    shop.mail.enqueue_many([shop.send.job("a"), shop.send.job("b", copies=0)])
    work_off(shop.mail)
    zero = {"ready": 0, "scheduled": 0, "running": 0, "succeeded": 0, "failed": 0, "timed_out": 0, "broken": 0}
    assert printed("status", "shop:mail", "shop:video") == {
        "queues": [{"queue": "mail", **zero, "succeeded": 1, "failed": 1}, {"queue": "video", **zero}]
    }
    heading, mail, video = run("status", "shop:mail", "shop:video").stdout.splitlines()
    assert heading.split() == ["queue", *zero]
    assert mail.split() == ["mail", "0", "0", "0", "1", "1", "0", "0"]
    assert video.split()[0] == "video"


def make_one_of_each(shop: Any) -> None:
    queue = shop.mail
    queue.enqueue(shop.send.job("ready"), id="ready", delay=0)
    queue.enqueue(shop.send.job("later"), id="scheduled", delay=3600)
    for id in ("running", "broken", "timed_out"):
        queue.enqueue(shop.send.job(id), id=id, priority=100)
    claims = {claim.id: claim for claim in claim(queue, 3)}
    settle(queue, claims["broken"], Fail(State.BROKEN, "no job"))
    settle(queue, claims["timed_out"], Fail(State.TIMED_OUT, "too late"))
    for id, copies in (("succeeded", 1), ("failed", 0)):
        queue.enqueue(shop.send.job(id, copies), id=id, priority=100)
    settled = Worker(queue, concurrency=2, monitor=False)
    queue.remove(["ready"])
    settled.run(until_empty=True)
    queue.enqueue(shop.send.job("ready"), id="really-ready")


def claim(queue: Queue[Any], limit: int) -> list[Claim]:
    return queue.backend.claim(queue.name, limit, 10_000_000, "holder", b"0123456789abcdef", 1 << 20).claims


def settle(queue: Queue[Any], claim: Claim, outcome: Fail) -> None:
    queue.backend.settle(queue.name, [(claim.hold, outcome)], queue.keep)


KEYS = [
    *("id", "state", "job", "args", "payload_base64", "priority", "attempt", "lost"),
    *("place", "pushed_at", "started_at", "lease_until", "finished_at", "holder", "reason", "value"),
]


@pytest.mark.parametrize("state", State)
def test_list_and_show_have_the_same_keys_in_each_state(
    run: Run, printed: Callable[..., Any], shop: Any, state: State
) -> None:
    make_one_of_each(shop)
    page = printed("list", "shop:mail", state)
    (entry,) = page["entries"]
    assert (page["queue"], page["state"], page["next"], list(entry)) == ("mail", state, None, KEYS)
    assert entry["state"] == state
    assert printed("show", "shop:mail", entry["id"]) == entry
    for command in (("list", "shop:mail", state), ("show", "shop:mail", entry["id"])):
        told = run(*command)
        assert (told.exit_code, entry["id"] in told.stdout, "send" in told.stdout) == (0, True, True)


def test_list_shows_what_a_state_is_about(run: Run, printed: Callable[..., Any], shop: Any) -> None:
    make_one_of_each(shop)
    assert "in 59 min" in run("list", "shop:mail", "scheduled").stdout
    assert "holder" in run("list", "shop:mail", "running").stdout
    assert "ValueError: nothing [red]to send[/]" in run("list", "shop:mail", "failed").stdout  # and no markup
    assert printed("list", "shop:mail", "succeeded")["entries"][0]["value"] == "succeeded"


def test_list_goes_on_after_its_cursor(run: Run, printed: Callable[..., Any], shop: Any) -> None:
    shop.mail.enqueue_many([shop.send.job("a") for _ in range(5)], ids=[str(n) for n in range(5)])
    seen, after = [], None
    while True:
        page = printed("list", "shop:mail", "ready", "--limit", "2", *(["--after", after] if after else []))
        seen += [entry["id"] for entry in page["entries"]]
        after = page["next"]
        if after is None:
            break
        assert f"--after '{page['next']}'" in run("list", "shop:mail", "ready", f"--limit={len(seen)}").stderr
    assert seen == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize(
    "command",
    [
        ("list", "mial", "failed"),
        ("show", "mial", "one"),
        ("status", "mial"),
        ("redrive", "mial", "--all"),
        ("remove", "mial", "--state", "failed", "--yes"),
        ("destroy", "mial"),
    ],
)
def test_a_queue_that_holds_nothing_is_said_to_and_which_do(run: Run, shop: Any, command: tuple[str, ...]) -> None:
    with shop.mail.using("sqlite:///jobs.db"):
        shop.mail.enqueue(shop.send.job("a"))
    assert "queue 'mial' holds no jobs; the store has mail" in run(*command, "--url", "sqlite:///jobs.db").stderr
    others = run("list", "mail", "failed", "--url", "sqlite:///jobs.db")
    assert others.stderr == "no job of queue 'mail' is failed\n"


@pytest.mark.parametrize("payload", [b"\xff\x00", b"[" * 10_000, b'{"job": "send"}', b'{"job": "send", "args": {'])
def test_what_is_no_job_s_json_is_given_as_bytes(
    run: Run, printed: Callable[..., Any], mail: Queue[None], payload: bytes
) -> None:
    mail.backend.push("mail", [Push("odd", payload)])
    entry = printed("show", "shop:mail", "odd")
    assert (entry["job"], entry["args"]) == (None, None)
    assert b64decode(entry["payload_base64"]) == payload
    assert run("show", "shop:mail", "odd").exit_code == 0
    assert run("list", "shop:mail", "ready").exit_code == 0


@pytest.mark.usefixtures("shop")
def test_show_of_a_job_that_is_not_there_fails(run: Run) -> None:
    result = run("show", "shop:mail", "nobody")
    assert (result.exit_code, "no job 'nobody'" in result.stderr, result.stdout) == (1, True, "")


@pytest.mark.usefixtures("shop")
def test_a_state_that_does_not_exist_is_a_usage_error(run: Run) -> None:
    assert run("list", "shop:mail", "lost").exit_code == 2


# -- operating


def fail_some(shop: Any, number: int) -> list[str]:
    ids = [f"f{n}" for n in range(number)]
    shop.mail.enqueue_many([shop.send.job("a", copies=0) for _ in ids], ids=ids)
    work_off(shop.mail)
    return ids


def test_redrive_by_id_says_which_were_refused(run: Run, shop: Any) -> None:
    first, second = fail_some(shop, 2)
    result = run("redrive", "shop:mail", first, "nobody", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {"queue": "mail", "done": 1, "refused": [{"id": "nobody", "answer": "missing"}]}
    assert (shop.mail.counts().ready, shop.mail.counts().failed) == (1, 1)
    again = run("redrive", "shop:mail", first, second)
    assert (again.exit_code, again.stdout) == (1, "1 done\n")
    assert f"refused: {first} (it has not failed)" in again.stderr
    assert "refused: nobody (there is no such job)" in run("redrive", "shop:mail", "nobody").stderr


def test_redrive_of_all_takes_page_after_page(printed: Callable[..., Any], shop: Any) -> None:
    number = len(fail_some(shop, 990))
    make_one_of_each(shop)
    assert printed("redrive", "shop:mail", "--all") == {"queue": "mail", "done": number + 3, "refused": []}
    assert shop.mail.counts().failed == shop.mail.counts().broken == shop.mail.counts().timed_out == 0


def test_redrive_by_state_leaves_other_states(printed: Callable[..., Any], shop: Any) -> None:
    make_one_of_each(shop)
    printed("redrive", "shop:mail", "--state", "broken")
    assert (shop.mail.counts().broken, shop.mail.counts().failed) == (0, 1)


@pytest.mark.parametrize("arguments", [(), ("one", "--all"), ("--state", "ready")])
@pytest.mark.usefixtures("shop")
def test_redrive_has_to_be_told_which(run: Run, arguments: tuple[str, ...]) -> None:
    assert run("redrive", "shop:mail", *arguments).exit_code == 2


def test_remove_by_id(printed: Callable[..., Any], run: Run, shop: Any) -> None:
    make_one_of_each(shop)
    assert printed("remove", "shop:mail", "scheduled", "broken")["done"] == 2
    running = run("remove", "shop:mail", "running")
    assert (running.exit_code, "refused: running (it is running)\n" in running.stderr) == (1, True)
    assert (shop.mail.counts().scheduled, shop.mail.counts().running) == (0, 1)


def test_remove_by_state_asks_first(run: Run, shop: Any) -> None:
    make_one_of_each(shop)
    asked = run("remove", "shop:mail", "--state", "failed", "--state", "broken", input="n\n")
    assert (asked.exit_code, shop.mail.counts().failed) == (1, 1)
    assert "Remove 2 jobs of queue 'mail'?" in asked.stderr
    assert "Remove 1 job of queue 'mail'?" in run("remove", "shop:mail", "--state", "failed", input="n\n").stderr
    assert run("remove", "shop:mail", "--state", "failed", "--yes").stdout == "1 done\n"
    assert (shop.mail.counts().failed, shop.mail.counts().broken) == (0, 1)


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("fields", ["{'to': 1}", '{"to": "a"', "to=a", "", "\udcff"])
def test_fields_that_are_no_json_are_said_to_be_none(run: Run, fields: str) -> None:
    result = run("enqueue", "shop:mail", "send", fields)
    assert (result.exit_code, "the fields are no JSON" in result.stderr) == (2, True)


def test_a_narrow_table_folds_texts_and_keeps_ids_whole(shop: Any) -> None:
    id = shop.mail.enqueue(shop.send.job("somebody-with-a-long-name@example.org", copies=0))
    work_off(shop.mail)
    narrow = CliRunner(env={"COLUMNS": "40"}).invoke(app, ["list", "shop:mail", "failed"])
    lines = narrow.stdout.splitlines()
    assert lines[0].split() == ["id", "job", "args", "priority", "attempt", "lost", "finished", "reason"]
    assert lines[1].startswith(f"{id}  send  ")
    assert len(lines) > 2


def test_running_jobs_are_not_asked_about_as_if_they_could_be_removed(run: Run, shop: Any) -> None:
    make_one_of_each(shop)
    result = run("remove", "shop:mail", "--state", "running", "--yes")
    assert (result.exit_code, "can't be removed" in result.stderr) == (2, True)


def test_a_question_that_nobody_answers_says_how_to_go_on(run: Run, shop: Any) -> None:
    shop.send.enqueue("a")
    result = run("destroy", "shop:mail")
    assert (result.exit_code, shop.mail.counts().ready) == (1, 1)
    assert result.stderr.endswith("no answer: --yes goes on without asking\nnothing was changed\n")


@pytest.mark.parametrize(("answer", "left"), [("n\n", 6), ("", 6), ("y\n", 0)])
def test_destroy_asks_first(run: Run, shop: Any, answer: str, left: int) -> None:
    make_one_of_each(shop)
    shop.mail.remove(["scheduled"])
    result = run("destroy", "shop:mail", input=answer)
    assert result.exit_code == (0 if left == 0 else 1)
    assert "with 6 jobs, 1 of them running?" in result.stderr
    counts = shop.mail.counts()
    assert sum(getattr(counts, state) for state in State) == left


def test_destroy_does_not_ask_if_told_so(run: Run, shop: Any) -> None:
    shop.send.enqueue("a")
    result = run("destroy", "shop:mail", "--yes")
    assert (result.exit_code, result.stdout) == (0, "destroyed queue 'mail', which held 1 job\n")
    assert shop.mail.counts().ready == 0


# -- exit codes, and what is never shown


@pytest.mark.usefixtures("shop")
def test_a_store_that_is_away_is_exit_code_3_and_no_password_is_shown(run: Run) -> None:
    result = run("status", "shop:troubled")
    assert (result.exit_code, "hunter2" in result.output) == (3, False)
    assert "redis://shop:***@db:6379" in result.stderr


@pytest.mark.parametrize("command", [("list", "shop:mail", "failed"), ("show", "shop:mail", "one")])
def test_a_password_in_what_a_job_failed_with_is_not_shown(run: Run, shop: Any, command: tuple[str, ...]) -> None:
    @shop.mail.job
    def sync(to: str) -> None:
        raise OSError("redis://shop:hunter2@db is away")

    shop.mail.enqueue(sync.job("a"), id="one")
    work_off(shop.mail)
    shown = run(*command).output
    assert ("redis://shop:***@db is away" in shown, "hunter2" in shown) == (True, False)


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("target", ["shop:mail", "mail"])
def test_an_empty_url_is_not_taken_for_the_queues_own(run: Run, monkeypatch: Any, target: str) -> None:
    monkeypatch.setenv("JOBCORE_URL", "memory://")
    result = run("status", target, "--url", "")
    assert (result.exit_code, "--url is empty" in result.stderr) == (2, True)


@pytest.mark.usefixtures("shop")
def test_what_is_said_is_one_line_where_it_is_redirected() -> None:
    said = CliRunner().invoke(app, ["status", f"shop:{'x' * 300}"]).stderr
    assert said.splitlines() == [
        f"Error: module 'shop' has no attribute '{'x' * 300}'. There are: shop:mail, shop:video, shop:troubled"
    ]


@pytest.mark.usefixtures("shop")
def test_not_knowing_is_exit_code_4_and_says_the_id(run: Run) -> None:
    result = run("enqueue", "shop:troubled", "send", MADE, "--id", "one")
    assert (result.exit_code, "one" in result.stderr) == (4, True)


@pytest.mark.usefixtures("shop")
def test_a_url_that_cannot_be_opened_is_a_usage_error(run: Run) -> None:
    assert run("status", "mail", "--url", "nosuch://user:hunter2@host").exit_code == 2
    result = run("status", "shop:mail", "--url", "redis://user:hunter2@host/?timeuot=3")
    assert (result.exit_code, "hunter2" in result.output) == (2, False)


# -- working


@pytest.fixture
def plain_logging() -> Iterator[None]:
    logger = logging.getLogger("jobcore")
    before = logger.level
    yield
    logger.setLevel(before)


@pytest.mark.usefixtures("plain_logging")
def test_a_worker_runs_what_is_there_and_leaves(run: Run, shop: Any) -> None:
    shop.mail.enqueue_many([shop.send.job(str(n)) for n in range(3)])
    assert run("worker", "shop:mail", "shop:video", "--until-empty", "--limit", "mail=1").exit_code == 0
    assert shop.mail.counts().succeeded == 3


@pytest.mark.usefixtures("plain_logging")
def test_a_worker_until_empty_says_what_it_waits_for(
    run: Run, shop: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("jobcore.cli.held.LONG_SECONDS", 0.01)
    said = threading.Event()

    @shop.mail.job
    def dawdle() -> None:
        assert said.wait(20)

    class Hearing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "still running: dawdle slow-one of mail, for 0 s" in record.getMessage():
                said.set()

    logging.getLogger("jobcore").addHandler(handler := Hearing())
    shop.mail.enqueue(dawdle.job(), id="slow-one")
    assert run("worker", "shop:mail", "--until-empty").exit_code == 0
    logging.getLogger("jobcore").removeHandler(handler)
    assert shop.mail.counts().succeeded == 1


@pytest.mark.usefixtures("shop", "plain_logging")
def test_a_password_among_the_arguments_is_warned_of(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "jobcore")
    quiet = ("--log-level", "warning")
    run("worker", "shop:mail", "--url", "nosuch://u:hunter2@host", *quiet)
    assert [("env:NAME" in line, "hunter2" in line) for line in caplog.messages] == [(True, False)]
    caplog.clear()
    run("worker", "shop:mail", "--url", "nosuch://host", *quiet)
    assert caplog.messages == []


@pytest.mark.parametrize("command", [("monitor",), ("worker", "--processes=1")])
@pytest.mark.usefixtures("shop", "plain_logging")
def test_what_cannot_be_reached_is_told_before_anything_is_started(run: Run, command: tuple[str, ...]) -> None:
    assert run(*command, "shop:mail", "--url", "nosuch://host").exit_code == 2
    assert run(*command, "shop:troubled").exit_code == 3


@pytest.mark.usefixtures("shop", "plain_logging")
def test_several_processes_cannot_share_a_memory(run: Run) -> None:
    result = run("worker", "shop:mail", "--processes=2")
    assert (result.exit_code, "queue 'mail' is kept in the memory of one process" in result.stderr) == (2, True)
    assert "--concurrency" in result.stderr


@pytest.mark.usefixtures("plain_logging")
def test_a_worker_says_that_its_store_is_still_to_be_made(
    run: Run, shop: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    missing = f"there is no file {tmp_path}/typo.db yet"
    told = f"mail: {missing}; if the URL is right, the first job that is enqueued changes that"
    work = ("worker", "shop:mail", "--until-empty", "--url", "sqlite:///typo.db")
    assert (run(*work).exit_code, told in caplog.messages) == (0, True)
    caplog.clear()
    run("enqueue", "shop:mail", "send", MADE, "--url", "sqlite:///typo.db")
    assert (run(*work).exit_code, told in caplog.messages) == (0, False)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--limit=mail", "Invalid value for --limit: write queue=number"),
        ("--limit=mail=0", "from 1 on"),
        ("--limit=post=1", "'post', which is no queue of this worker; it has: mail"),
        ("--concurrency=0", "--concurrency"),
        ("--processes=0", "--processes"),
        ("--lease=0", "lease"),
        ("--lease=long", "write seconds"),
        ("--log-level=loud", "--log-level"),
    ],
)
@pytest.mark.usefixtures("shop", "plain_logging")
def test_a_worker_s_options_are_checked(run: Run, option: str, said: str) -> None:
    result = run("worker", "shop:mail", "--until-empty", option)
    assert (result.exit_code, said in result.stderr) == (2, True), result.output


# -- the command itself


@pytest.mark.parametrize(
    ("command", "usage"),
    [
        ("worker", "{QUEUE}..."),
        ("status", "[QUEUE]..."),
        ("list", "{QUEUE} {STATE}"),
        ("remove", "{QUEUE} [ID]..."),
        ("enqueue", "{QUEUE} {JOB} [ARGS]"),
        ("doctor", "[URL|QUEUE]..."),
        ("migrate", "[URL]"),
    ],
)
def test_usage_says_once_what_is_optional_and_what_may_be_repeated(run: Run, command: str, usage: str) -> None:
    first = run(command, "--help").stdout.strip().splitlines()[0]
    assert first.strip().endswith(f" {command} [OPTIONS] {usage}")


def test_the_commands_are_told_by_what_they_are_for(run: Run) -> None:
    headings = re.findall(r"\u2500 (\w+) \u2500", run("--help").stdout)
    assert headings == ["Options", "Work", "Look", "Mend", "Stores"]


def test_the_version(run: Run) -> None:
    assert run("--version").stdout.startswith("jobcore ")


def test_nothing_of_the_command_line_is_loaded_before_it_is_used() -> None:
    loaded = "import jobcore, jobcore.cli, sys; print({'typer', 'rich', 'click'} & set(sys.modules))"
    assert (
        subprocess.run([sys.executable, "-c", loaded], capture_output=True, check=True, text=True).stdout == "set()\n"
    )


def test_shells_can_complete_commands() -> None:
    asked = {"_JOBCORE_COMPLETE": "complete_bash", "COMP_WORDS": "jobcore red", "COMP_CWORD": "1"}
    done = subprocess.run([sys.executable, "-m", "jobcore"], env=asked, capture_output=True, check=False, text=True)
    assert done.stdout.split() == ["redrive"]
