"""Names and texts that an attacker would choose are data to every store: none reaches its SQL, Lua, keys or wire."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import count

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobcore.backend import (
    Backend,
    Claim,
    ConfigurationError,
    Fail,
    InvalidArgument,
    Keep,
    Push,
    Retry,
    State,
    Succeed,
)
from jobcore.connect import open_backend

FRAGMENTS = [
    "'", '"', "\\", "`", ";", "--", "/*", "$1", "$$", "%s", "%(queue)s", ":id", "{schema}", "{}", "{x}:jobs", "*",
    "'; DROP TABLE jobcore.jobs; --", "' OR '1'='1", "]]", "[[", "\\0", "\\r\\n", "redis.call('FLUSHALL')", "KEYS[1]",
    "../../etc/passwd", "${jndi:x}", "\N{RIGHT-TO-LEFT OVERRIDE}", "\N{LINE SEPARATOR}", "\N{COMBINING ACUTE ACCENT}",
    "\N{FULLWIDTH APOSTROPHE}", "\U0010ffff", "é", "a",
]  # fmt: skip
HARMFUL = [text for text in FRAGMENTS if text not in {"--", "a"}]
LINES = ["\n", "\r\n*1\r\n$8\r\nFLUSHALL\r\n", "\t", "\x1b[2J", "\x7f"]

text = st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=6).map("".join)
names = text.filter(lambda name: len(name.encode()) <= 190)
reasons = st.lists(st.sampled_from(FRAGMENTS + LINES), min_size=1, max_size=9).map("".join)
payloads = st.one_of(reasons.map(str.encode), st.binary(max_size=50))

QUEUE, NEIGHBOUR = "hostile", "neighbour"
LEASE = 60_000_000
calls = count(1)


@pytest.fixture(scope="module", params=["memory", "sqlite", "redis", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    match request.param:
        case "memory":
            return "memory://hostile"
        case "sqlite":
            return f"sqlite:///{tmp_path_factory.mktemp('hostile') / 'jobs.db'}?synchronous=NORMAL"
        case "redis":
            return f"{request.getfixturevalue('redis_url')}?prefix=hostile"
        case _:
            return f"{request.getfixturevalue('postgres_url')}?schema=hostile"


@pytest.fixture(scope="module")
def backend(url: str) -> Iterator[Backend]:
    with closing(open_backend(url)) as backend:
        yield backend


def claim(backend: Backend, holder: str) -> Claim:
    call = next(calls).to_bytes(16)
    (taken,) = backend.claim(QUEUE, 1, LEASE, holder, call, 1 << 20).claims
    return taken


@given(id=names, holder=names, reason=reasons, payload=payloads, value=payloads)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_hostile_comes_back_as_it_is(
    backend: Backend, id: str, holder: str, reason: str, payload: bytes, value: bytes
) -> None:
    backend.destroy(QUEUE)
    backend.push(NEIGHBOUR, [Push("canary", b"sings")])
    assert backend.push(QUEUE, [Push(id, payload)])[0].created

    taken = claim(backend, holder)
    assert (taken.id, taken.payload) == (id, payload)
    (running,) = backend.peek(QUEUE, State.RUNNING, 9).entries
    assert (running.id, running.holder) == (id, holder)
    assert backend.extend(QUEUE, [taken.hold], LEASE) == ["held"]
    (moved,) = backend.reclaim(QUEUE, 9, LEASE, f"{holder}2", next(calls).to_bytes(16), holder)
    assert moved.id == id
    assert backend.settle(QUEUE, [(moved.hold, Retry(0, reason))], Keep()) == ["done"]

    assert backend.settle(QUEUE, [(claim(backend, holder).hold, Fail(State.BROKEN, reason))], Keep()) == ["done"]
    (broken,) = backend.get(QUEUE, [id])
    assert broken is not None
    assert (broken.id, broken.payload, broken.reason) == (id, payload, reason)
    assert backend.redrive(QUEUE, [id]) == ["done"]
    assert backend.settle(QUEUE, [(claim(backend, holder).hold, Succeed(value))], Keep(succeeded=1)) == ["done"]
    (kept,) = backend.peek(QUEUE, State.SUCCEEDED, 9).entries
    assert (kept.id, kept.value) == (id, value)
    assert backend.remove(QUEUE, [id]) == ["done"]

    (canary,) = backend.get(NEIGHBOUR, ["canary"])
    assert canary is not None
    assert canary.payload == b"sings"


@pytest.mark.parametrize("name", [*HARMFUL, *LINES, "", "a b", "a:b", "a" * 201, "\0", "\ud800"])
def test_a_queue_of_such_a_name_there_is_none(backend: Backend, name: str) -> None:
    for verb in (backend.counts, backend.destroy, lambda name: backend.push(name, [Push("a", b"x")])):
        with pytest.raises(InvalidArgument, match="a queue's name is"):
            verb(name)


@pytest.mark.parametrize("name", [*LINES, "", "a" * 201, "é" * 101, "\0", "\ud800"])
def test_an_id_or_holder_that_no_store_could_keep_is_refused_by_all(backend: Backend, name: str) -> None:
    with pytest.raises(InvalidArgument):
        backend.push(QUEUE, [Push(name, b"x")])
    with pytest.raises(InvalidArgument):
        backend.claim(QUEUE, 1, LEASE, name, bytes(16), 1)
    with pytest.raises(InvalidArgument):
        backend.get(QUEUE, [name])


@pytest.mark.parametrize("name", ["a}b", "a b", 'a"b', "a;b", "a{b", "a*", "%00", "%0A"])
@pytest.mark.parametrize("url", ["redis://127.0.0.1:1?prefix=", "postgresql://127.0.0.1:1/db?schema="])
def test_nor_is_there_such_a_prefix_or_schema(url: str, name: str) -> None:
    with pytest.raises(ConfigurationError):
        open_backend(url + name)


@given(id=names, name=names, argument=reasons.filter(lambda text: "\x00" not in text))
@settings(max_examples=30, deadline=None)
def test_sqls_own_function_takes_them_as_data_too(postgres_url: str, id: str, name: str, argument: str) -> None:
    with closing(open_backend(f"{postgres_url}?schema=hostile_sql")) as backend:
        backend.destroy(QUEUE)
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            enqueue = "SELECT hostile_sql.enqueue(%s, %s, jsonb_build_object('x', %s::text), id => %s)"
            connection.execute(enqueue, [QUEUE, name, argument, id])
            told = connection.execute("SELECT id, job, args ->> 'x' FROM hostile_sql.all_jobs").fetchall()
    assert told == [(id, name, argument)]
