"""The parts of `prove`: what it plans, writes down, reads, draws and says; and the proxy that troubles a network."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from core.loops import Faulty

from jobcore.backend import Answer, Keep, Push, Refused, Succeed, Uncertain, Wakes
from jobcore.errors import ConfigurationError
from jobcore.prove.checker import Duplicate, Reason, Verdict, check
from jobcore.prove.history import Told
from jobcore.prove.journal import Answered, Dropped, Journal, PushSent, SettleSent, Started, Took, read
from jobcore.prove.nemesis import Fault, Kind, plan
from jobcore.prove.picture import picture
from jobcore.prove.proxy import Proxy, endpoint
from jobcore.prove.recorded import recorded
from jobcore.prove.report import Report
from jobcore.prove.settings import Settings

BOUND = 10.0
SECOND = 1_000_000


# -- the plan


def test_a_plan_has_what_was_asked_for_and_is_drawn_again_from_its_seed() -> None:
    numbers = {Kind.KILL: 5, Kind.PAUSE: 3, Kind.CUT: 0, Kind.SERVER: 1}
    faults = plan(numbers, lease=2.0, seed=7)
    assert Counter(fault.kind for fault in faults) == Counter(numbers)
    assert faults == plan(numbers, lease=2.0, seed=7) != plan(numbers, lease=2.0, seed=8)


def test_a_pause_outlasts_a_lease() -> None:
    assert all(fault.seconds > 3.0 for fault in plan({Kind.PAUSE: 100}, lease=3.0, seed=1))


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("redis://:secret@cellar:7000/3", ("cellar", 7000)),
        ("redis://cellar", ("cellar", 6379)),
        ("postgresql://me@cellar/jobs", ("cellar", 5432)),
        ("postgresql:///jobs?host=/var/run", None),
        ("rediss://cellar", None),
        ("redis+cluster://cellar", None),
        ("unix:///run/redis.sock", None),
        ("sqlite:///jobs.db", None),
    ],
)
def test_a_proxy_stands_before_one_server_that_is_spoken_to_in_the_clear(url: str, target: object) -> None:
    assert endpoint(url) == target


def settings(url: str) -> Settings:
    return Settings(url, "q", 10, dict.fromkeys(Kind, 2))


def test_what_cannot_be_had_is_left_out_and_said() -> None:
    faults, left_out = settings("sqlite:///jobs.db").possible(restarts=False)
    assert faults == {Kind.KILL: 2, Kind.PAUSE: 2, Kind.CUT: 0, Kind.STALL: 0, Kind.SERVER: 0}
    apart = "this URL names no host to be cut off from"
    assert left_out == [f"cut: {apart}", f"stall: {apart}", "server: there is no --restart-command"]
    encrypted = "no proxy can stand before rediss://cellar"
    assert settings("rediss://:secret@cellar").possible(restarts=True)[1] == [
        f"cut: {encrypted}",
        f"stall: {encrypted}",
    ]
    assert settings("redis://cellar").possible(restarts=True) == (dict.fromkeys(Kind, 2), [])
    with pytest.raises(ConfigurationError, match="one process"):
        settings("memory://").possible(restarts=False)


def test_what_nobody_asked_for_is_not_said_to_be_left_out() -> None:
    asked = Settings("sqlite:///jobs.db", "q", 10, dict.fromkeys(Kind, 0) | {Kind.KILL: 1})
    assert asked.possible(restarts=False) == (asked.faults, [])


# -- journals


def test_what_a_killed_process_wrote_is_read_but_for_a_torn_line(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    written = [PushSent(0, 1, [("a", True)]), Answered(0, 2, []), Started(3, "a", 17)]
    for record in written:
        journal.write(record)
    journal.close()
    with (tmp_path / "journal").open("ab") as file:
        file.write(b'["start",4,"b"')
    assert read(tmp_path / "journal") == written


def test_processes_append_to_a_journal_that_is_there(tmp_path: Path) -> None:
    for fence in (1, 2):
        journal = Journal(tmp_path / "journal")
        journal.write(Started(0, "a", fence))
        journal.close()
    assert len(read(tmp_path / "journal")) == 2


@pytest.fixture
def on_record(tmp_path: Path) -> Iterator[tuple[Any, Faulty, Path]]:
    inner, path = Faulty(), tmp_path / "journal"
    journal = Journal(path)
    yield recorded(inner, journal), inner, path  # type: ignore[arg-type]  # it passes calls on to a backend
    journal.close()


def test_a_call_is_written_down_before_it_is_sent_and_when_it_is_answered(on_record: Any) -> None:
    backend, inner, path = on_record
    inner.after = lambda verb: seen.append((verb, len(read(path))))
    seen: list[tuple[str, int]] = []
    backend.push("q", [Push("a", b"x", remember=5)])
    (claim,) = backend.claim("q", 1, SECOND, "me", b"c" * 16, 0).claims
    backend.settle("q", [(claim.hold, Succeed())], Keep())
    assert seen == [("push", 1), ("claim", 2), ("settle", 4)]
    pushed, answered, took, settled, done = read(path)
    assert isinstance(pushed, PushSent)
    assert isinstance(took, Took)
    assert isinstance(settled, SettleSent)
    assert isinstance(answered, Answered)
    assert isinstance(done, Answered)
    assert pushed.ids == [("a", True)]
    assert (took.tokens, took.until - took.sent, took.reclaimed) == ([("a", claim.fence, 0)], SECOND, False)
    assert settled.tokens == [("a", claim.fence, True)]
    assert (done.call, done.answers) == (settled.call, [Answer.DONE])


def test_a_call_that_was_refused_is_dropped_and_one_without_an_answer_stays_open(on_record: Any) -> None:
    backend, inner, path = on_record
    inner.fail("push", Refused("full"))
    with pytest.raises(Refused):
        backend.push("q", [Push("a", b"x")])
    inner.lose("push")
    with pytest.raises(Uncertain):
        backend.push("q", [Push("b", b"x")])
    _, dropped, sent = read(path)
    assert dropped == Dropped(0)
    told = Told()
    told.read("journal", read(path))
    verdict = check(told.history(["b"]))
    assert (verdict.attempted, verdict.acknowledged, verdict.sound) == (1, 0, True)
    assert isinstance(sent, PushSent)


def test_a_repeated_claim_counts_its_lease_from_the_first(on_record: Any) -> None:
    backend, inner, path = on_record
    backend.push("q", [Push("a", b"x")])
    inner.lose("claim")
    with pytest.raises(Uncertain):
        backend.claim("q", 1, SECOND, "me", b"c" * 16, 0)
    between = read(path)[-1]
    backend.claim("q", 1, SECOND, "me", b"c" * 16, 0)
    took = read(path)[-1]
    assert isinstance(took, Took)
    assert isinstance(between, Answered)
    assert took.until - SECOND == took.sent < took.at
    assert took.sent - between.at < took.at - between.at


def test_a_recorded_store_wakes_if_the_store_does(on_record: Any, tmp_path: Path) -> None:
    assert isinstance(on_record[0], Wakes)
    assert not isinstance(recorded(object(), Journal(tmp_path / "other")), Wakes)  # type: ignore[arg-type]  # no calls


# -- what is read from them


def told_of_a_kill() -> Told:
    """A job that a killed worker held, and another process ran 2.5 s later."""
    told = Told()
    told.read("producer", [PushSent(0, 0, [("a", False), ("b", False)]), Answered(0, 1, [])])
    took = Took(10, 11, 10 + SECOND, reclaimed=False, tokens=[("a", 1, 0), ("b", 1, 0)])
    told.read(
        "killed", [took, Started(12, "a", 1), SettleSent(0, 13, [("b", 1, True)]), Answered(0, 14, [Answer.DONE])]
    )
    over, again = 2 * SECOND, 3 * SECOND
    told.read(
        "other",
        [
            Took(over, over + 1, over + SECOND, reclaimed=True, tokens=[("a", 2, 1)]),
            SettleSent(0, over + 2, [("a", 2, False)]),
            Answered(0, over + 3, [Answer.DONE]),
            Took(again, again + 1, again + SECOND, reclaimed=False, tokens=[("a", 3, 1)]),
            Started(again + 2, "a", 3),
            SettleSent(1, again + 3, [("a", 3, True)]),
        ],
    )
    return told


def test_recovery_is_told_from_the_kill_to_the_run() -> None:
    told = told_of_a_kill()
    assert told.recovery("killed", killed=SECOND // 2 + 2) == [2.5]
    assert told.recovery("other", killed=0) == []
    assert told.takeovers == 1
    assert told.ended == {"b": 13, "a": 3 * SECOND + 3}
    assert check(told.history([])).duplicates == [Duplicate("a", 1, 3, Reason.LEASE_ENDED)]


def test_a_clock_that_is_being_set_right_takes_nothing_over_early() -> None:
    told = Told()
    told.read("a", [PushSent(0, 0, [("a", False)]), Answered(0, 1, [])])
    told.read("b", [Took(0, 1, SECOND, reclaimed=False, tokens=[("a", 1, 0)]), Started(2, "a", 1)])
    nearly = SECOND - SECOND // 200
    told.read("c", [Took(nearly, nearly, nearly + 1, reclaimed=False, tokens=[("a", 2, 1)]), Started(nearly, "a", 2)])
    assert check(told.history(["a"])).sound


FAULTS = [Fault(Kind.KILL, 0.0, 0.0, 0.2, begin=SECOND, end=SECOND + 200_000, journal="killed")]


def test_a_picture_marks_each_fault_over_what_was_settled_and_what_was_left() -> None:
    drawn = ET.fromstring(picture(told_of_a_kill(), FAULTS))  # noqa: S314 -- our own text
    words = [each.text for each in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert {"kill", "settled a second", "in the queue"} <= set(words)
    assert "pause" not in words
    fills = [each.get("fill") for each in drawn.iter("{http://www.w3.org/2000/svg}rect")]
    assert len(fills) == 2  # the ground, and one mark


def test_a_picture_of_nothing_is_one_too() -> None:
    ET.fromstring(picture(Told(), []))  # noqa: S314 -- our own text


VERDICT = Verdict(
    3, 2, 2, 4, ["x"], [], [], [Duplicate("a", 1, 2, Reason.LEASE_ENDED), Duplicate("b", 1, 2, None)], [("c", 9)], 5
)


def report(**given: Any) -> Report:
    fields = {"verdict": VERDICT, "recovery": [0.5, 1.5, 2.0], "stuck": [], "faults": FAULTS, "left_out": ["cut: no"]}
    return Report(store="redis", seed=3, begin=0, seconds=2.0, settled=8, takeovers=4, **fields | given)


def test_a_report_says_the_same_to_people_and_to_programs() -> None:
    document, lines = report().document(), dict(report().lines())
    assert document["lost"] == ["x"]
    assert lines["lost"] == "1: x"
    assert document["explained"] == {"its lease had ended": 1}
    assert document["unexplained"] == [{"id": "b", "after": 1, "fence": 2}]
    assert document["stale_accepted"] == [{"id": "c", "fence": 9}]
    assert (document["faults"]["kill"], document["unacknowledged"], document["stale_refused"]) == (1, 1, 5)
    assert document["recovery_seconds"] == {"p50": 1.5, "max": 2.0}
    assert document["timeline"] == [{"kind": "kill", "begin": 1.0, "seconds": 0.2}]
    assert lines["settled"] == "8, 4 a second for 2.0 s"
    assert document["sound"] is False


def test_what_is_stuck_is_not_sound_though_nothing_is_lost() -> None:
    sound = Verdict(1, 1, 1, 1, [], [], [], [], [], 0)
    assert report(verdict=sound).sound
    assert not report(verdict=sound, stuck=["a"]).sound


# -- the proxy


@pytest.fixture
def line() -> Iterator[tuple[Proxy, socket.socket]]:
    """A proxy, and the server behind it, which accepts."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(BOUND)
        proxy = Proxy(*server.getsockname())
        yield proxy, server
        proxy.close()


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), BOUND)


def test_a_url_is_led_through_the_proxy_with_all_else_as_it_was(line: tuple[Proxy, socket.socket]) -> None:
    proxy, _ = line
    assert (
        proxy.url("redis://me:p%40ss@cellar:1/3?timeout=2") == f"redis://me:p%40ss@127.0.0.1:{proxy.port}/3?timeout=2"
    )
    assert proxy.url("postgresql://cellar/jobs") == f"postgresql://127.0.0.1:{proxy.port}/jobs"


def test_what_is_said_goes_both_ways(line: tuple[Proxy, socket.socket]) -> None:
    proxy, server = line
    with connect(proxy) as client, server.accept()[0] as peer:
        client.sendall(b"ask")
        assert peer.recv(3) == b"ask"
        peer.sendall(b"answer")
        assert client.recv(6) == b"answer"
        peer.close()
        assert client.recv(1) == b""


def test_a_cut_breaks_what_is_connected_and_lets_nobody_in_until_it_is_mended(
    line: tuple[Proxy, socket.socket],
) -> None:
    proxy, server = line
    with connect(proxy) as client, server.accept()[0] as peer:
        proxy.sever()
        assert peer.recv(1) == b""
        assert client.recv(1) == b""
    with connect(proxy) as refused:
        assert refused.recv(1) == b""
    proxy.mend()
    with connect(proxy) as client, server.accept()[0] as peer:
        client.sendall(b"ask")
        assert peer.recv(3) == b"ask"


def test_while_it_holds_nothing_gets_through_and_then_all_does(line: tuple[Proxy, socket.socket]) -> None:
    proxy, server = line
    with connect(proxy) as client, server.accept()[0] as peer:
        proxy.hold()
        client.sendall(b"ask")
        peer.settimeout(0.05)
        with pytest.raises(TimeoutError):
            peer.recv(3)
        peer.settimeout(BOUND)
        proxy.mend()
        assert peer.recv(3) == b"ask"


def test_a_closed_proxy_leaves_no_thread() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        proxy = Proxy(*server.getsockname())
        with connect(proxy), server.accept()[0]:
            proxy.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "jobcore-proxy"]
