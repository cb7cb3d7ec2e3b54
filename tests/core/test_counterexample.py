"""What is told of a history in which a store and the suite's model disagree."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import pytest

from jobcore.backend import Answer, Fail, Hold, Keep, Outcome, Push, State
from jobcore.backends.memory import MemoryBackend, Store
from jobcore.conformance import Harness, counterexample
from jobcore.conformance.client import NO_BOUND, new_call
from jobcore.conformance.counterexample import Disagreement, Step
from jobcore.conformance.faults import Loss
from jobcore.conformance.pair import Pair

HOUR = 3_600_000_000


class Hoarder(MemoryBackend):
    """Keeps one failed job more than it may."""

    def settle(self, queue: str, settlements: Sequence[tuple[Hold, Outcome]], keep: Keep) -> list[Answer]:
        return super().settle(queue, settlements, Keep(keep.failed + 1, keep.succeeded))


class HoardersHarness(Harness):
    url = "hoarder://attic"

    def __init__(self) -> None:
        self.store = Store()

    def make(self) -> Hoarder:
        return Hoarder(store=self.store)


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A history that ends where the store keeps too much."""
    pair = Pair(HoardersHarness(), "q")
    pair.both(0, Loss.ANSWER, "push", [Push("a", b"{}")])
    (claim,) = pair.claim(1, Loss.NOTHING, 1, HOUR, "h", new_call(), NO_BOUND)
    forged = Hold("a", claim.call, claim.fence + 1)
    pair.both(0, Loss.NOTHING, "settle", [(forged, Fail()), (claim.hold, Fail())], Keep(0, 0))
    with pytest.raises(Disagreement):
        pair.agree()
    yield pair
    pair.close()


def test_the_law_and_the_calls_are_told(pair: Pair) -> None:
    assert pair.wrong
    text = counterexample.told(pair.wrong, pair.history, pair.tokens, None)
    assert text.startswith("Broken is law 9, Caps: ")
    assert [line.split()[:2] for line in text.splitlines()[2:8]] == [
        ["who", "call"],
        *[["client", f"{who}"] for who in (0, 0, 1, 0, 0)],
    ]
    assert "push([Push(id='a', payload=b'{}')])" in text
    assert "settle([(forged(tokens[0]), Fail()), (tokens[0], Fail())], Keep(failed=0))" in text
    assert "LOST, DONE" in text
    assert text.endswith("The last answer was   a\nand should have been  nothing")


def test_the_script_makes_the_same_calls(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["replay.py", "memory://replayed"])
    exec(counterexample.script(pair.history, pair.tokens), {})
    printed = capsys.readouterr().out
    assert "client 0: settle" in printed
    assert f"[{Answer.LOST!r}, {Answer.DONE!r}]" in printed
    assert "Page(entries=[], next=None)" in printed  # a good driver does what should have been done


def test_the_script_moves_a_clock_from_where_it_was(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    history = [Step(0, "push", ([Push("a", b"", run_at=5_000)],)), Step(0, "advance", (4_000,)), Step(0, "counts")]
    monkeypatch.setattr(sys, "argv", ["replay.py", "memory://moved"])
    exec(counterexample.script(history, [], began=1_000), {})
    assert "counts()\n    Counts(ready=1, scheduled=0" in capsys.readouterr().out


def test_a_difference_in_a_field_is_told_by_its_name() -> None:
    backend = MemoryBackend()
    backend.push("q", [Push("a", b"1"), Push("b", b"2")])
    one = backend.peek("q", State.READY, 5).entries
    backend.push("r", [Push("a", b"1"), Push("b", b"3")])
    other = backend.peek("r", State.READY, 5).entries
    assert counterexample.different(one[1:], other[1:])[0].startswith("b: payload=b'2'")
