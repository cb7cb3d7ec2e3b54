"""What an attacker may send, and what nobody may see. docs/security.md says the same for users."""

from __future__ import annotations

import ast
import logging
import os
import pickle
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from jobcore.backend import BackendError, Push
from jobcore.cli.secrets import has_password, without_passwords
from jobcore.connect import open_backend
from jobcore.errors import InvalidArgument, JobcoreError
from jobcore.monitor import Monitor
from jobcore.queue import Queue
from jobcore.worker import Worker

SOURCES = sorted(Path(__file__).parents[2].joinpath("src").rglob("*.py"))
SECRETS = ("s3cr", "et99")


def password_of(text: str) -> set[str]:
    """The pieces of the password that a text shows."""
    return {piece for piece in SECRETS if piece in text}


# -- what is stored is never run


def test_nothing_here_can_be_made_to_run_what_was_stored():
    """Not one of the ways in which data becomes code: no pickle, no eval, no import by a stored name."""
    assert SOURCES
    unfit = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "yaml", "eval", "exec", "compile", "__import__"}
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert not unfit & {name for node in ast.walk(tree) for name in names_in(node)}, path


def names_in(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Import(names=names):
            yield from (name.name.partition(".")[0] for name in names)
        case ast.ImportFrom(module=str(module)):
            yield module.partition(".")[0]
        case ast.Call(func=ast.Name(id=name)):
            yield name


class Trap:
    """Would leave a trace if it were unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (logging.getLogger("trap").critical, ("sprung",))


def test_a_pickle_is_a_broken_job_like_any_rubbish(caplog: pytest.LogCaptureFixture):
    queue: Queue[None] = Queue("q", "memory://")
    queue.backend.push("q", [Push("trap", pickle.dumps(Trap()))])
    Worker(queue, monitor=False).run(until_empty=True)
    assert queue.counts().broken == 1
    assert "trap" not in {record.name for record in caplog.records}


@pytest.mark.parametrize(
    "payload",
    [
        b'{"job":"say","args":{"text":"a","x\\nERROR forged\\u001b[2J":1}}',
        b'{"job":"say\\nERROR forged\\u001b[2J","args":{}}',
        b'{"job":"say","args":{},"\\r\\u2028\\u009b":1}',
    ],
)
def test_a_payload_can_not_forge_lines_of_a_log(payload: bytes, caplog: pytest.LogCaptureFixture):
    queue: Queue[None] = Queue("q", "memory://")

    @queue.job
    def say(text: str) -> None: ...

    queue.backend.push("q", [Push("a", payload)])
    Worker(queue, monitor=False).run(until_empty=True)
    assert queue.counts().broken == 1
    (line,) = caplog.messages
    assert line.isprintable()


def test_a_job_is_as_large_as_its_queue_allows():
    queue: Queue[None] = Queue("q", "memory://", max_payload=100)

    @queue.job
    def say(text: str) -> None: ...

    say.enqueue("x" * 50)
    for refused in (lambda: say.enqueue("x" * 100), lambda: queue.enqueue_named("say", {"text": "x" * 100})):
        with pytest.raises(InvalidArgument, match="takes 100"):
            refused()
    assert queue.counts().ready == 1


# -- what nobody may see


SERVERS = ["redis://{}@127.0.0.1:1", "rediss://{}@127.0.0.1:1", "redis+cluster://{}@127.0.0.1:1",
           "unix://{}@/no/such.sock", "postgresql://{}@127.0.0.1:1/db", "postgres://{}@127.0.0.1:1/db"]  # fmt: skip


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("character", "?#/@:[]% &=+;\\")
@pytest.mark.parametrize("user", ["user", ""])
def test_no_error_shows_a_piece_of_a_password_written_wrongly(server: str, character: str, user: str):
    url = server.format(f"{user}:{character.join(SECRETS)}")
    with pytest.raises(JobcoreError) as caught, closing(open_backend(url)) as backend:
        backend.counts("q")
    assert not password_of("".join(traceback.format_exception(caught.value)))


@pytest.mark.parametrize("scheme", ["redis", "postgresql", "sqlite", "memory", "nosuch"])
@pytest.mark.parametrize("rest", [":s3cr", "u:s3cr", "u:s3cr@", "[s3cr@h", "u:s3cr@h:port", "u:s3cr@h:1/?no=1"])
def test_no_error_shows_a_piece_of_a_url(scheme: str, rest: str):
    with closing(Queue("q", f"{scheme}://{rest}")) as queue, pytest.raises(JobcoreError) as caught:
        queue.counts()
    assert not password_of("".join(traceback.format_exception(caught.value)))


@pytest.mark.parametrize("url", ["redis://u:s3cret99@127.0.0.1:1", "postgresql://u:s3cret99@127.0.0.1:1/db"])
def test_nothing_that_holds_a_url_shows_it(url: str, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    with closing(Queue("q", url)) as queue:
        worker = Worker(queue)
        things: list[Any] = [queue, queue.binding, queue.backend, worker, Monitor(queue)]
        with pytest.raises(BackendError):
            worker.step()
        shown = [f"{thing!r} {thing}" for thing in things]
        worker.stop()
    assert not password_of(" ".join([*shown, caplog.text]))


@pytest.mark.parametrize(
    "text",
    [
        "redis://u:s3cret99@h/0",
        "rediss://:s3cret99@h",
        "unix://u:s3cret99@/tmp/a.sock",
        "postgresql://u:s3cr@et99@h/db",
        "redis://u:s3cr/et99@h and postgresql://v:s3cr?et99@h",
        "rediss://h?ssl_password=s3cret99&db=1",
        "host=h password=s3cret99 user=u",
        "postgresql://h/db?sslpassword=s3cret99",
        "{'password': 's3cret99', 'user': 'u'}",
        "password = 's3cret99'",
    ],
)
def test_the_last_net_catches_passwords(text: str):
    assert not password_of(without_passwords(text))


@pytest.mark.parametrize("text", ["mail a@b.c: no such user", "redis://h:6379/0", "no password given"])
def test_the_last_net_lets_the_rest_through(text: str):
    assert without_passwords(text) == text


@pytest.mark.parametrize("option", ["password", "ssl_password", "sslpassword"])
def test_a_password_in_an_option_is_one_too(option: str):
    assert has_password(f"rediss://h?{option}=s3cret99")
    assert not has_password("rediss://h?ssl_keyfile=/password")
    assert not has_password("redis://[broken")


APP = """
import os
from pathlib import Path
from jobcore import Queue

queue = Queue("listed", "redis://127.0.0.1:1")  # nowhere: the URL comes from the command line

@queue.job
def tell() -> None:
    lists = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in (os.getpid(), os.getppid())]
    Path("processes").write_bytes(b" ".join(lists))
"""


def test_a_process_list_shows_no_password(tmp_path: Path):
    """Of the workers that a parent starts, nor of the parent, if the URL is given to it by `env:`."""
    from servers import redis

    (tmp_path / "app.py").write_text(APP)
    with redis.server() as server, server.client() as owner:
        owner.acl_setuser("jobs", enabled=True, passwords=["+s3cret99"], keys="*", commands=["+@all"])
        url = server.url.replace("//", "//jobs:s3cret99@")
        with closing(Queue("listed", url)) as queue:
            queue.backend.push("listed", [Push("a", b'{"job":"tell","args":{}}')])
        command = "worker app:queue --processes 1 --until-empty --url env:STORE"
        done = subprocess.run(
            [sys.executable, "-m", "jobcore", *command.split()],
            cwd=tmp_path, env={**os.environ, "STORE": url}, capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
    lists = (tmp_path / "processes").read_text()
    assert "jobcore\0worker" in lists
    assert not password_of(lists + done.stdout + done.stderr)
