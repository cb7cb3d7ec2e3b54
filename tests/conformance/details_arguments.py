"""Fixed details: arguments of the wrong form, and what a closed backend says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from jobcore.backend import (
    Answer,
    Backend,
    Counts,
    Fail,
    Hold,
    InvalidArgument,
    Keep,
    Push,
    QueueClosed,
    Retry,
    State,
    Succeed,
    Wakes,
)
from jobcore.conformance.client import Client, new_call

Call = Callable[[Backend], object]

CALL: Final = bytes(range(16))
HOLD: Final = Hold("a", CALL, 1)
DONE: Final = Succeed()
NONE: Final = Keep(0, 0)
BAD_QUEUES: Final[list[Any]] = ["", "a b", "a/b", "a:b", "{a}", "ü", "a" * 201, "a\n", "a\0", None, b"a"]
BAD_IDS: Final[list[Any]] = ["", "a" * 201, "ü" * 101, "a\nb", "a\0b", "\x7f", "\x9f", "\ud800", None, 7, b"a"]


def _push(**fields: Any) -> Call:
    return lambda backend: backend.push("q", [Push("good", b""), Push(**({"id": "a", "payload": b""} | fields))])


def _claim(**given: Any) -> Call:
    arguments: dict[str, Any] = {"queue": "q", "limit": 1, "lease": 1, "holder": "h", "call": CALL, "max_bytes": 1}
    return lambda backend: backend.claim(**(arguments | given))


def _reclaim(**given: Any) -> Call:
    arguments: dict[str, Any] = {"queue": "q", "limit": 1, "lease": 1, "holder": "h", "call": CALL}
    return lambda backend: backend.reclaim(**(arguments | given))


def _settle(hold: Any = HOLD, outcome: Any = DONE, keep: Any = NONE) -> Call:
    return lambda backend: backend.settle("q", [(hold, outcome)], keep)


MALFORMED: Final[dict[str, Call]] = {
    **{f"push id {id!r:.20}": _push(id=id) for id in BAD_IDS},
    "push payload of text": _push(payload="text"),
    "push payload None": _push(payload=None),
    "push priority 101": _push(priority=101),
    "push priority -101": _push(priority=-101),
    "push priority 1.0": _push(priority=1.0),
    "push delay -1": _push(delay=-1),
    "push delay 0.5": _push(delay=0.5),
    "push delay without end": _push(delay=1 << 60),
    "push run_at -1": _push(run_at=-1),
    "push remember -1": _push(remember=-1),
    "push delay and run_at": _push(delay=1, run_at=1),
    "claim limit -1": _claim(limit=-1),
    "claim lease 0": _claim(lease=0),
    "claim lease -1": _claim(lease=-1),
    "claim holder ''": _claim(holder=""),
    "claim max_bytes -1": _claim(max_bytes=-1),
    "claim call of 15 bytes": _claim(call=bytes(15)),
    "claim call of 17 bytes": _claim(call=bytes(17)),
    "claim call of text": _claim(call="x" * 16),
    "reclaim limit -1": _reclaim(limit=-1),
    "reclaim lease 0": _reclaim(lease=0),
    "reclaim holder with a newline": _reclaim(holder="a\nb"),
    "reclaim call of 0 bytes": _reclaim(call=b""),
    "reclaim of ''": _reclaim(of=""),
    "extend lease 0": lambda backend: backend.extend("q", [HOLD], 0),
    "extend call of 15 bytes": lambda backend: backend.extend("q", [HOLD, Hold("a", bytes(15), 1)], 1),
    "settle hold of a bad id": _settle(Hold("", CALL, 1)),
    "settle hold of a bad call": _settle(Hold("a", b"", 1)),
    "settle as READY": _settle(outcome=Fail(State.READY)),
    "settle as SUCCEEDED by Fail": _settle(outcome=Fail(State.SUCCEEDED)),
    "settle retry in -1": _settle(outcome=Retry(-1)),
    "settle value of text": _settle(outcome=Succeed("text")),  # type: ignore[arg-type]  # that is the point
    "settle keep failed -1": _settle(keep=Keep(failed=-1)),
    "settle keep succeeded -1": _settle(keep=Keep(succeeded=-1)),
    "peek limit 0": lambda backend: backend.peek("q", State.READY, 0),
    "get id ''": lambda backend: backend.get("q", ["held", ""]),
    "redrive id ''": lambda backend: backend.redrive("q", ["failed", ""]),
    "remove id ''": lambda backend: backend.remove("q", ["failed", ""]),
}

VERBS: Final[dict[str, Callable[[Backend, str], object]]] = {
    "push": lambda backend, queue: backend.push(queue, [Push("a", b"")]),
    "push none": lambda backend, queue: backend.push(queue, []),
    "claim": lambda backend, queue: backend.claim(queue, 1, 1, "h", CALL, 1),
    "reclaim": lambda backend, queue: backend.reclaim(queue, 1, 1, "h", CALL),
    "extend": lambda backend, queue: backend.extend(queue, [HOLD], 1),
    "extend none": lambda backend, queue: backend.extend(queue, [], 1),
    "settle": lambda backend, queue: backend.settle(queue, [(HOLD, Succeed())], Keep()),
    "settle none": lambda backend, queue: backend.settle(queue, [], Keep()),
    "peek": lambda backend, queue: backend.peek(queue, State.READY, 1),
    "get": lambda backend, queue: backend.get(queue, ["a"]),
    "get none": lambda backend, queue: backend.get(queue, []),
    "counts": lambda backend, queue: backend.counts(queue),
    "redrive": lambda backend, queue: backend.redrive(queue, ["a"]),
    "redrive none": lambda backend, queue: backend.redrive(queue, []),
    "remove": lambda backend, queue: backend.remove(queue, ["a"]),
    "remove none": lambda backend, queue: backend.remove(queue, []),
    "destroy": lambda backend, queue: backend.destroy(queue),
}


class Arguments:
    """Malformed arguments raise `ValueError`, and nothing of the batch is stored."""

    @pytest.mark.parametrize("what", MALFORMED)
    def test_malformed_arguments_change_nothing(self, one: Client, what: str) -> None:
        one.put("failed", State.FAILED)
        one.put("held", State.RUNNING)
        before = one.picture()
        with pytest.raises(InvalidArgument):
            MALFORMED[what](one.backend)
        assert one.picture() == before

    @pytest.mark.parametrize("verb", VERBS)
    def test_every_verb_checks_the_queues_name(self, one: Client, verb: str) -> None:
        for queue in BAD_QUEUES:
            with pytest.raises(ValueError, match="queue"):
                VERBS[verb](one.backend, queue)

    def test_waiting_checks_the_queues_names(self, one: Client) -> None:
        backend = one.backend
        for queue in BAD_QUEUES:
            with pytest.raises(ValueError, match="queue"):
                backend.wait(["q", queue], 0.0) if isinstance(backend, Wakes) else backend.counts(queue)

    def test_a_bad_settlement_undoes_none_that_were_good(self, one: Client) -> None:
        hold = one.take("a").hold
        with pytest.raises(InvalidArgument):
            one.backend.settle("q", [(hold, Succeed()), (Hold("", CALL, 1), Succeed())], Keep())
        assert one.settle(Succeed(), hold) == [Answer.DONE]

    @pytest.mark.parametrize("cursor", ["", "x", "1,2,three", "-", "\0", "9" * 50, "'; --"])
    def test_a_cursor_of_no_listing_is_refused_or_ends_it(self, one: Client, cursor: str) -> None:
        one.push("a")
        try:
            page = one.backend.peek("q", State.READY, 5, cursor)
        except InvalidArgument:
            return
        assert len(page.entries) <= 1


class Closing:
    """After `close` any call raises `QueueClosed`; closing twice is allowed; `destroy` takes all of a queue."""

    @pytest.mark.parametrize("verb", VERBS)
    def test_a_closed_backend_refuses(self, one: Client, verb: str) -> None:
        one.backend.close()
        with pytest.raises(QueueClosed):
            VERBS[verb](one.backend, "q")

    def test_closing_twice_is_allowed_and_closes_no_other(self, one: Client, two: Client) -> None:
        one.push("a")
        one.backend.close()
        one.backend.close()
        assert [claim.id for claim in two.claim()] == ["a"]

    def test_a_refused_call_stores_nothing(self, one: Client, two: Client) -> None:
        one.backend.close()
        with pytest.raises(QueueClosed):
            one.push("a")
        assert two.counts() == Counts()

    def test_destroying_takes_jobs_in_every_state(self, one: Client, two: Client) -> None:
        for state in reversed(State):
            one.put(state.value, state)
        one.backend.destroy("q")
        assert two.counts() == Counts()
        assert two.backend.get("q", [state.value for state in State]) == [None] * len(State)
        assert [two.ids(state) for state in State] == [[]] * len(State)
        assert two.claimed().next_due is None

    def test_destroying_forgets_ids(self, one: Client, two: Client) -> None:
        one.push("a", remember=1000)
        one.remove("a")
        one.push("b", remember=1000)
        one.backend.destroy("q")
        assert [pushed.created for pushed in two.push("a", "b")] == [True, True]

    def test_destroying_ends_tokens(self, one: Client, two: Client) -> None:
        call = new_call()
        one.push("a", "b")
        old = one.claim(call=call)
        one.elapse(0.01)  # a new job of an old id rises by the clock alone
        two.backend.destroy("q")
        two.push("a", "c")
        assert one.settle(Succeed(), *old) == one.extend(*[claim.hold for claim in old]) == [Answer.LOST] * 2
        assert [claim.id for claim in one.claim(call=call)] == ["a", "c"]
        assert one.settle(Succeed(), *old) == [Answer.LOST] * 2
        assert one.reclaim(of="somebody") == []

    def test_destroying_ends_leases(self, one: Client, two: Client) -> None:
        one.push("a", "b")
        ends = [claim.lease_until for claim in one.claim()]
        two.backend.destroy("q")
        two.push("a")
        one.reach(max(ends))
        assert one.reclaim() == one.reclaim(of=one.holder) == []

    def test_destroying_what_is_not_there_is_allowed(self, one: Client) -> None:
        one.backend.destroy("never-used")
        assert one.counts("never-used") == Counts()
