"""What is told of a history in which a store and the suite's model disagree."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis.database import InMemoryExampleDatabase

from jobcore.backend import Answer, Fail, Hold, Keep, Outcome, Push, State
from jobcore.backends.memory import MemoryBackend, Store
from jobcore.conformance import Harness, counterexample, kept
from jobcore.conformance.client import NO_BOUND, new_call
from jobcore.conformance.counterexample import Disagreement
from jobcore.conformance.histories import shortest, try_round
from jobcore.conformance.pair import Pair
from jobcore.conformance.script import script
from jobcore.conformance.shortening import Tries, shortened
from jobcore.conformance.steps import Answered, Step, Token
from jobcore.testing import ManualClock

HOUR = 3_600_000_000
LOOK = Step(0, "peek", (State.FAILED, 1000))


class Hoarder(MemoryBackend):
    """Keeps one failed job more than it may."""

    def settle(self, queue: str, settlements: Sequence[tuple[Hold, Outcome]], keep: Keep) -> list[Answer]:
        return super().settle(queue, settlements, Keep(keep.failed + 1, keep.succeeded))


class Fragile(MemoryBackend):
    """Breaks down when it is asked for a batch of two."""

    def remove(self, queue: str, ids: Sequence[str]) -> list[Answer]:
        return [Answer.MISSING] * {0: 0, 1: 1}[len(ids)]


class OwnHarness(Harness):
    def __init__(self, kind: type[MemoryBackend] = Hoarder, clock: ManualClock | None = None) -> None:
        self.name = kind.__name__
        self.store = Store()
        self.clock = clock
        self.kind = kind

    def make(self) -> MemoryBackend:
        return self.kind(self.clock, store=self.store)


def wrong(harness: Harness, *steps: Step) -> Pair:
    """A history that ends where the store is wrong."""
    pair = Pair(harness, "q")
    with pytest.raises(Disagreement):
        for step in steps:
            pair.take(step)
    pair.close()
    return pair


def failing(id: str = "a", *others: str) -> list[Step]:
    """Steps after which a job has failed that is not to be kept."""
    call = new_call()
    token, forged = Token(id, call), Token(id, call, "fence")
    return [
        Step(0, "push", ([Push(one, b"{}") for one in (id, *others)],), lost=True),
        Step(1, "claim", (1, HOUR, "h", call, NO_BOUND)),
        Step(0, "settle", ([(forged, Fail()), (token, Fail())], Keep(0, 0))),
    ]


@pytest.fixture
def pair() -> Iterator[Pair]:
    return wrong(OwnHarness(), *failing(), LOOK)


def text_of(pair: Pair, url: str | None = None) -> str:
    assert pair.wrong
    return counterexample.told(pair.wrong, pair.history, url, None)


def test_the_law_and_the_calls_are_told(pair: Pair) -> None:
    law, _, *table = text_of(pair).splitlines()
    assert law.startswith("Broken is law 9, Caps: ")
    (number,) = {int.from_bytes(step.arguments[3]) for step, _ in pair.history if step.verb == "claim"}
    forged = "replace(t0.hold, fence=t0.hold.fence + 1)"
    rows = [
        ("who", "call", "answer", "should have been"),
        ("client 0", "push([Push(id='a', payload=b'{}')])", "lost", ""),
        ("client 0", "push([Push(id='a', payload=b'{}')])", "a known, ready", ""),
        ("client 1", f"claim(1, {HOUR}, 'h', call({number}), 1 << 40)", "a", ""),
        ("client 0", f"settle([({forged}, Fail()), (t0.hold, Fail())], Keep(failed=0))", "LOST, DONE", ""),
        ("client 0", "peek(State.FAILED, 1000)", "a", "nothing"),
    ]
    assert table == counterexample.table(rows)


def test_the_script_fails_where_the_store_is_wrong_and_passes_where_it_is_right(pair: Pair, tmp_path: Path) -> None:
    assert pair.wrong
    installed = tmp_path / "hoarder-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: hoarder\nVersion: 1\n")
    (installed / "entry_points.txt").write_text("[jobcore.backends]\nhoarder = hoarder:connect\n")
    (tmp_path / "hoarder.py").write_text(HOARDER)
    (tmp_path / "replay.py").write_text(script(pair.history, pair.wrong.check, None))
    codes = {
        url: subprocess.run(
            [sys.executable, tmp_path / "replay.py", url], env={"PYTHONPATH": f"{tmp_path}"}, check=False, timeout=60
        ).returncode
        for url in ("hoarder://attic", "memory://replayed")
    }
    assert codes == {"hoarder://attic": 1, "memory://replayed": 0}


HOARDER = """
from jobcore.backend import Keep
from jobcore.backends.memory import MemoryBackend, Store

STORE = Store()

class Hoarder(MemoryBackend):
    def settle(self, queue, settlements, keep):
        return super().settle(queue, settlements, Keep(keep.failed + 1, keep.succeeded))

def connect(url):
    return Hoarder(store=STORE)
"""


def run(history: Sequence[Answered], check: str, began: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["replay.py", "memory://replayed"])
    exec(script(history, check, began), {})


def test_the_script_moves_a_clock_from_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    push = Step(0, "push", ([Push("a", b"", run_at=4_000)],))
    history = [Answered(push), Answered(Step(0, "advance", (4_000,))), Answered(Step(0, "counts"))]
    run(history, "(answer.ready, clock.now() - began) == (1, 4_000)", 1_000, monkeypatch)


def test_the_script_replaces_clients_and_lists_by_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [
        Step(0, "push", ([Push(f"{n}", b"") for n in range(5)],)),
        Step(0, "die", (1, HOUR, "h", new_call(), NO_BOUND)),
        Step(1, "close"),
        Step(1, "open"),
        Step(1, "pages", (State.READY, 2)),
    ]
    run([*map(Answered, steps)], "[one.id for one in answer] == ['1', '2', '3', '4']", None, monkeypatch)


def test_a_difference_in_a_field_is_told_by_its_name() -> None:
    backend = MemoryBackend()
    backend.push("q", [Push("a", b"1"), Push("b", b"2")])
    one = backend.peek("q", State.READY, 5).entries
    backend.push("r", [Push("a", b"1"), Push("b", b"3")])
    other = backend.peek("r", State.READY, 5).entries
    found = counterexample.difference("Law8Bytes", one[1:], other[1:], "answer.entries", 0)
    assert found.got.startswith("b: payload=b'2'")
    assert "one.payload" in found.check


def test_a_driver_that_breaks_down_is_told_as_well() -> None:
    pair = wrong(OwnHarness(Fragile), Step(0, "remove", (["a"],)), Step(1, "remove", (["a", "b"],)))
    assert text_of(pair).splitlines()[-1].split("  ") == ["client 1", "remove(['a', 'b'])", "KeyError: 2", "an answer"]


@pytest.mark.parametrize("clock", [None, ManualClock()])
def test_what_is_not_needed_is_left_out(clock: ManualClock | None) -> None:
    push, *others = failing("a", "b", "c")
    noise = [Step(1, "redrive", (["none"],)), Step(1, "open"), Step(0, "advance", (1,)) if clock else Step(0, "close")]
    found = shortest(wrong(OwnHarness(clock=clock), *noise, push, *noise, *others, *noise, LOOK))
    assert [step.verb for step, _ in found.history] == ["push", "claim", "settle", "peek"]
    (batch,), _, (settlements, _), _ = (step.arguments for step, _ in found.history)
    assert (batch, len(settlements)) == ([Push("a", b"")], 1)
    assert not any(step.who or step.lost for step, _ in found.history)


def test_what_failed_is_tried_first_the_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    default = SimpleNamespace(database=InMemoryExampleDatabase())
    monkeypatch.setattr(kept, "settings", SimpleNamespace(default=default))
    assert try_round(OwnHarness(clock=ManualClock()), 1, 1) == 1  # one history is too few
    for examples in (100, 1):
        with pytest.raises(pytest.fail.Exception, match="Broken is law 9, Caps"):
            try_round(OwnHarness(clock=ManualClock()), 1, examples)
    assert try_round(OwnHarness(MemoryBackend, ManualClock()), 1, 1) == 1
    with pytest.raises(pytest.fail.Exception):  # though another store got it right
        try_round(OwnHarness(clock=ManualClock()), 1, 1)


def test_as_few_are_left_as_still_fail() -> None:
    tried = Tries(lambda items: {3, 11} <= {*items}, 100)
    assert shortened(range(20), tried) == [3, 11]


def test_no_more_is_tried_than_may_be() -> None:
    tried: list[int] = []
    shortened(range(1000), Tries(lambda items: bool(tried.append(len(items))), 7))
    assert len(tried) == 7
