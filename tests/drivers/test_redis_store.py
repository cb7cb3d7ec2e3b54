"""What the Redis driver leaves in the store, and what it makes of what others leave there: see docs/redis.md."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from jobcore.backend import Answer, Claim, Fail, Keep, Push, Refused, Retry, Return, State, Succeed
from jobcore.backends.redis import RedisBackend, connect, scripts
from jobcore.testing import START, ManualClock

from servers import redis as servers

SECOND = 1_000_000
ROOMY = Keep(failed=10, succeeded=10)
TAG = "{jobcore:q}"
VERBS = [each.stem for each in Path(scripts.__file__).with_name("lua").glob("*.lua") if each.stem != "common"]


@pytest.fixture(scope="module", params=servers.binaries())
def server(request: pytest.FixtureRequest) -> Iterator[servers.Server]:
    with servers.server(servers.binaries()[request.param]) as server:
        yield server


@pytest.fixture
def store(server: servers.Server) -> Iterator[redis.Redis]:
    """A look behind the driver's back."""
    with server.client() as client:
        client.flushall()
        yield client
        client.config_set("maxmemory", 0)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def backend(store: redis.Redis, clock: ManualClock) -> Iterator[RedisBackend]:
    backend = RedisBackend(store, clock=clock)
    yield backend
    backend.close()


def claim(backend: RedisBackend, limit: int = 100, call: bytes = b"c" * 16, holder: str = "me") -> list[Claim]:
    return backend.claim("q", limit, 10 * SECOND, holder, call, 1 << 40).claims


def dump(store: redis.Redis) -> dict[bytes, bytes]:
    return {key: store.dump(key) for key in store.keys("*")}


# -- the layout


def test_a_queued_job_is_two_entries(backend: RedisBackend, store: redis.Redis) -> None:
    backend.push("q", [Push("id", b"\xffpayload", priority=-7, delay=5, remember=60)])
    assert sorted(store.keys("*")) == [f"{TAG}:{name}".encode() for name in ("jobs", "ready", "seq")]
    key = struct.pack(">B", 107) + (START + 5).to_bytes(7) + (1).to_bytes(6)
    head = struct.pack(">cB14sQII", b"q", 0, key, START, 60, 0)
    assert store.hgetall(f"{TAG}:jobs") == {b"id": head + b"\xffpayload"}
    assert store.zrange(f"{TAG}:ready", 0, -1, withscores=True) == [(key + b"id", 0)]


def test_a_running_job_is_held_by_its_call(backend: RedisBackend, store: redis.Redis) -> None:
    backend.push("q", [Push("id", b"x", remember=60)])
    before = store.hget(f"{TAG}:jobs", "id")
    claim(backend)
    assert store.hget(f"{TAG}:jobs", "id") == before
    assert not store.exists(f"{TAG}:ready")
    run = struct.pack(">16sQIIQQI", b"c" * 16, START, 1, 0, START, 0, 60) + before[2:16]
    assert store.hgetall(f"{TAG}:running") == {b"id": run}
    assert store.zrange(f"{TAG}:leases", 0, -1, withscores=True) == [(b"id", START + 10 * SECOND)]
    assert store.hgetall(f"{TAG}:calls") == {b"c" * 16: b"\x91\xa2id", b"c" * 16 + b"#": b"1", b"c" * 16 + b"@": b"me"}
    assert store.zrange(f"{TAG}:holders", 0, -1) == [b"me\0" + b"c" * 16]


def test_a_finished_job_keeps_its_past_before_its_payload(backend: RedisBackend, store: redis.Redis) -> None:
    backend.push("q", [Push("id", b"payload")])
    (held,) = claim(backend)
    backend.settle("q", [(held.hold, Fail(State.TIMED_OUT, "slow"))], ROOMY)
    record = store.hget(f"{TAG}:jobs", "id")
    assert record[:2] + record[24:32] == b"t\x01" + struct.pack(">II", 0, 36)
    assert record[32:] == struct.pack(">QIIQQ", START, 1, 0, START, START) + b"slow" + b"payload"
    assert store.zrange(f"{TAG}:timed_out", 0, -1) == [b"id"]
    assert not store.exists(*[f"{TAG}:{name}" for name in ("running", "leases", "calls", "holders", "ready")])


def test_a_success_leaves_nothing_but_a_number(backend: RedisBackend, store: redis.Redis) -> None:
    backend.push("q", [Push("id", b"x")])
    backend.settle("q", [(held.hold, Succeed(b"1")) for held in claim(backend)], Keep())
    assert store.keys("*") == [f"{TAG}:seq".encode()]


def test_every_key_is_documented_and_destroyed(backend: RedisBackend, store: redis.Redis) -> None:
    """All verbs are called; who waits is no part of the queue, and expires."""
    for state in (State.FAILED, State.TIMED_OUT, State.BROKEN):
        backend.push("q", [Push(state, b"x")])
        backend.settle("q", [(held.hold, Fail(state)) for held in claim(backend)], ROOMY)
    backend.push("q", [Push("kept", b"x")])
    backend.settle("q", [(held.hold, Succeed()) for held in claim(backend)], ROOMY)
    backend.wait(["q"], 0.01)
    backend.push("q", [Push("gone", b"x", remember=60), Push("a", b"x"), Push("b", b"x", delay=SECOND)])
    backend.remove("q", ["gone"])
    claim(backend)
    store.lpush(f"{TAG}:inbox", b"{}")
    documented = set(re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| .*(?:set|hash|list|integer)", _page(), re.MULTILINE))
    names = {name for row in documented for name in re.findall(r"`(\w+)`", row)}
    assert {key.decode() for key in store.keys("*")} == {f"{TAG}:{name}" for name in names}
    backend.destroy("q")
    assert store.keys("*") == [f"{TAG}:waiters".encode()]
    assert store.pttl(f"{TAG}:waiters") > 0


def test_a_job_takes_no_more_than_is_documented(backend: RedisBackend, store: redis.Redis) -> None:
    payload = b"p" * 33
    backend.push("q", [Push("warm", payload)])
    before = store.info("memory")["used_memory"]
    for first in range(0, 30_000, 1000):
        backend.push("q", [Push(f"{first + n:026}", payload) for n in range(1000)])
    assert 0 < (store.info("memory")["used_memory"] - before) / 30_000 - len(payload) < 285


def _page() -> str:
    return (Path(__file__).parents[2] / "docs" / "redis.md").read_text()


# -- what must not change, or grow


def test_looking_for_work_changes_nothing(backend: RedisBackend, store: redis.Redis) -> None:
    assert (
        claim(backend) == backend.reclaim("q", 9, 9, "m", bytes(16)) == backend.reclaim("q", 9, 9, "m", bytes(16), "x")
    )
    assert store.keys("*") == []
    backend.push("q", [Push("later", b"x", delay=SECOND)])
    before = dump(store)
    assert claim(backend) == []
    backend.counts("q"), backend.get("q", ["later"]), backend.remove("q", ["no"]), backend.redrive("q", ["later"])
    assert [backend.peek("q", state, 10).next for state in State] == [None] * len(State)
    assert dump(store) == before


def test_a_stale_token_changes_nothing(backend: RedisBackend, store: redis.Redis) -> None:
    backend.push("q", [Push("a", b"x")])
    (old,) = claim(backend)
    backend.settle("q", [(old.hold, Retry())], ROOMY)
    claim(backend, call=b"d" * 16)
    before = dump(store)
    for outcome in (Succeed(), Fail(), Retry(), Return()):
        backend.settle("q", [(old.hold, outcome)], Keep(0, 0))
    backend.extend("q", [old.hold], 99)
    assert dump(store) == before


def test_remembered_ids_are_forgotten_as_new_ones_come(
    backend: RedisBackend, store: redis.Redis, clock: ManualClock
) -> None:
    for n in range(5):
        ids = [f"{n}-{i}" for i in range(100)]
        backend.push("q", [Push(id, b"x", remember=1) for id in ids])
        backend.remove("q", ids)
        clock.advance(2)
    assert store.zcard(f"{TAG}:remembered") <= 200


def test_markers_are_no_more_than_waiters(backend: RedisBackend, store: redis.Redis) -> None:
    backend.push("q", [Push("unheard", b"x")])
    assert not store.exists(f"{TAG}:wakes")
    backend.wait(["q"], 0.001)
    for n in range(20):
        backend.push("q", [Push(f"{n}-{i}", b"x", delay=n % 2) for i in range(10)])
    assert store.llen(f"{TAG}:wakes") == store.zcard(f"{TAG}:waiters") == 1


# -- other producers


def test_what_others_leave_is_claimed_oldest_first(backend: RedisBackend, store: redis.Redis) -> None:
    backend.push("q", [Push("own", b"own")])
    store.lpush(f"{TAG}:inbox", b"first", b"\xff\0second")
    claims = claim(backend)
    assert [held.payload for held in claims] == [b"own", b"first", b"\xff\0second"]
    assert len({held.id for held in claims}) == 3
    assert [(held.priority, held.attempt, held.pushed_at) for held in claims[1:]] == [(0, 1, START)] * 2
    assert not store.exists(f"{TAG}:inbox")


def test_a_claim_takes_in_a_bounded_number_and_says_that_more_is_due(backend: RedisBackend, store: redis.Redis) -> None:
    store.lpush(f"{TAG}:inbox", *range(1500))
    claimed = backend.claim("q", 5000, SECOND, "me", bytes(16), 1 << 40)
    assert len(claimed.claims) == 1000
    assert claimed.next_due == claimed.now
    assert [held.payload for held in claim(backend, 5000)] == [b"%d" % n for n in range(1000, 1500)]


def test_a_waiter_is_told_of_what_others_left(backend: RedisBackend, store: redis.Redis) -> None:
    store.lpush(f"{TAG}:inbox", b"{}")
    assert backend.wait(["q"], 1) == {"q"}


# -- memory, scripts, accounts


def test_a_full_server_takes_no_jobs_and_lets_all_others_end(backend: RedisBackend, store: redis.Redis) -> None:
    backend.push("q", [Push(f"{n}", b"x" * 1000) for n in range(60)])
    held = claim(backend, 30)
    store.lpush(f"{TAG}:inbox", b"left by another")
    store.config_set("maxmemory-policy", "noeviction")
    store.config_set("maxmemory", 1)
    with pytest.raises(Refused, match="OOM"):
        backend.push("q", [Push("one more", b"x")])
    assert backend.get("q", ["one more"]) == [None]
    assert set(backend.extend("q", [one.hold for one in held], 99 * SECOND)) == {"held"}
    held = backend.reclaim("q", 30, SECOND, "monitor", b"r" * 16, "me")
    outcomes = [Succeed(), Succeed(b"1"), Retry(0, "again"), Fail(State.BROKEN, "what?"), Return(), Fail()]
    batch = [(one.hold, outcomes[n % len(outcomes)]) for n, one in enumerate(held)]
    assert set(backend.settle("q", batch, Keep(failed=2, succeeded=2))) == {"done"}
    assert len(claim(backend, call=b"d" * 16)) == 30 + 10 + 1
    assert backend.counts("q").failed == 2


class Text(str):
    """As other libraries have them, for names or for arrays."""

    __slots__ = ()


def test_an_id_may_be_of_another_class_of_text(backend: RedisBackend) -> None:
    id = Text("id")
    assert backend.push("q", [Push(id, b"x")])[0].created
    assert backend.get("q", [id]) == backend.get("q", ["id"]) != [None]
    assert backend.remove("q", [id]) == [Answer.DONE]


def test_a_server_that_lost_the_scripts_is_given_them_again(backend: RedisBackend, store: redis.Redis) -> None:
    for n in range(3):
        store.script_flush()
        assert backend.push("q", [Push(f"{n}", b"x")])[0].created
    assert [held.id for held in claim(backend)] == ["0", "1", "2"]


def test_a_call_is_one_exchange(backend: RedisBackend, store: redis.Redis) -> None:
    def everything() -> None:
        backend.push("q", [Push("a", b"x"), Push("b", b"x")])
        a, b = claim(backend)
        backend.extend("q", [a.hold, b.hold], 9)
        backend.settle("q", [(a.hold, Succeed()), (b.hold, Fail())], ROOMY)
        backend.reclaim("q", 9, 9, "m", bytes(16))
        backend.redrive("q", ["b"]), backend.get("q", ["b"]), backend.counts("q"), backend.peek("q", State.READY, 9)
        backend.remove("q", ["a", "b"])

    everything()
    store.config_resetstat()
    everything()
    calls = {name: stat["calls"] for name, stat in store.info("commandstats").items() if "evalsha" in name}
    assert calls == {"cmdstat_evalsha": 10}
    assert "cmdstat_eval" not in store.info("commandstats")


def test_who_waits_asks_less_than_twice_a_second(backend: RedisBackend, store: redis.Redis) -> None:
    backend.wait(["q"], 0.001)
    store.config_resetstat()
    for _ in range(3):
        assert backend.wait(["q"], 0.001) == set()
    stats = store.info("commandstats")
    assert stats["cmdstat_blpop"]["calls"] == 3
    assert not {"cmdstat_evalsha", "cmdstat_eval", "cmdstat_ping"} & set(stats)


def test_the_documented_account_is_enough(server: servers.Server, store: redis.Redis, clock: ManualClock) -> None:
    rule = re.search(r"^ACL SETUSER jobs (.*?)^```", _page(), re.MULTILINE | re.DOTALL)
    assert rule
    store.execute_command("ACL", "SETUSER", "jobs", "reset", *rule[1].split())
    backend = connect(server.url.replace("//", "//jobs:PASSWORD@"))
    backend.wait(["q"], 0.001)
    backend.push("q", [Push(f"{n}", b"x", remember=9, priority=n % 3) for n in range(20)])
    store.lpush(f"{TAG}:inbox", b"x")
    held = backend.reclaim("q", 20, SECOND, "m", bytes(16), "me") if claim(backend) else []
    outcomes = [Succeed(b"1"), Retry(9**9), Fail(State.BROKEN, "no"), Return(), Fail(State.TIMED_OUT)]
    batch = [(one.hold, outcomes[n % 5]) for n, one in enumerate(held)]
    assert set(backend.extend("q", [one.hold for one in held], 9 * SECOND)) == {"held"}
    assert set(backend.settle("q", batch, Keep(failed=1, succeeded=1))) == {"done"}
    for state in State:
        listed = [entry.id for entry in backend.peek("q", state, 100).entries]
        assert len(listed) == getattr(backend.counts("q"), state)
        backend.redrive("q", listed[:1]), backend.remove("q", listed)
    backend.destroy("q")
    with pytest.raises(Refused, match="NOPERM"):
        connect(server.url.replace("//", "//jobs:PASSWORD@") + "?prefix=other").counts("q")
    backend.close()


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_a_script_brings_no_function_that_it_does_not_use(verb: str) -> None:
    text = scripts.script(verb).text.decode()
    functions = re.findall(r"^local function (\w+)", text, re.MULTILINE)
    assert [name for name in functions if len(re.findall(rf"\b{name}\b", text)) < 2] == []
