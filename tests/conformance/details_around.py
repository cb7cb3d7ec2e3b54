"""Fixed details: what surrounds a client, the process that it was forked in and the transaction that it joins."""

from __future__ import annotations

import os
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final

from jobcore.backend import Answer, Joins, Keep, Push, Pushed, State, Succeed
from jobcore.conformance.client import Client
from jobcore.conformance.harness import Harness
from jobcore.conformance.outages import Record, variant
from jobcore.conformance.threads import PATIENCE, together

CHILDREN: Final = 5


class Forking:
    """A client goes on in a forked child, and what the child does there disturbs nothing of its parent's."""

    def test_a_used_client_goes_on_in_a_child_and_in_its_parent(
        self, harness: Harness, one: Client, record_property: Record
    ) -> None:
        one.push("a", "b", "c")
        held = one.claim(1)

        def child() -> None:
            assert [claim.id for claim in one.claim(1, holder="child")] == ["b"]
            assert one.push("d")[0].created
            one.backend.close()

        in_a_child(child)
        shared = one.counts().running == 2
        if not shared:
            variant(record_property, "a child has a copy of the store")
        assert one.ids(State.READY) == (["c", "d"] if shared else ["b", "c"])
        assert one.settle(Succeed(), *held) == [Answer.DONE]

    def test_a_child_that_is_forked_while_others_are_at_work_is_not_stuck(self, one: Client, two: Client) -> None:
        one.push("a used client")
        ended = threading.Event()

        def work() -> None:
            while not ended.is_set():
                two.push("at work", queue="r")
                two.settle(Succeed(), *two.claim(queue="r"), queue="r", keep=Keep())

        def fork() -> None:
            try:
                for n in range(CHILDREN):
                    in_a_child(partial(one.push, f"{n}"))
            finally:
                ended.set()

        together(work, fork)
        assert one.push("the parent's")[0].created


class Joining:
    """A job that is pushed in a transaction of the caller's is there once that commits, and else was never pushed."""

    def test_a_job_is_there_once_the_transaction_commits(
        self, harness: Harness, one: Client, two: Client, record_property: Record
    ) -> None:
        two.push("other", queue="r")  # what a store makes at its first use is not the transaction's business
        assert two.ids(State.READY) == []
        with _pushing(harness, one, record_property) as push:
            answer = push("q", [Push("a", b"1"), Push("b", b"2", delay=one.units(1000))])
            assert [pushed.state for pushed in answer] == [State.READY, State.SCHEDULED]
            assert push("q", [Push("a", b"second")])[0] == Pushed("a", created=False, state=State.READY)
            assert two.ids(State.READY) == ([] if harness.transaction() else ["a"])
        assert (two.ids(State.READY), two.ids(State.SCHEDULED)) == (["a"], ["b"])
        assert [claim.payload for claim in two.claim()] == [b"1"]

    def test_a_batch_that_is_joined_keeps_its_order_where_an_id_was_known_before(
        self, harness: Harness, one: Client, two: Client, record_property: Record
    ) -> None:
        one.push("b", remember=1)
        one.remove("b")
        one.reach(one.now() + 1_000_000)
        with _pushing(harness, one, record_property) as push:
            assert [pushed.created for pushed in push("q", [Push("b", b""), Push("a", b"")])] == [True, True]
        assert [claim.id for claim in two.claim()] == ["b", "a"]

    def test_a_job_of_a_transaction_that_is_rolled_back_was_never_pushed(
        self, harness: Harness, one: Client, two: Client, record_property: Record
    ) -> None:
        before = two.picture()
        with suppress(_RolledBack), _pushing(harness, one, record_property) as push:
            if harness.transaction():
                assert push("q", [Push("a", b"never", remember=1000)])[0].created
            raise _RolledBack
        assert two.picture() == before
        assert one.push("a", payload=b"anew")[0].created
        assert [claim.payload for claim in two.claim()] == [b"anew"]


class _RolledBack(Exception):
    """Ends a transaction."""


@contextmanager
def _pushing(harness: Harness, client: Client, record_property: Record) -> Iterator[Callable[..., list[Pushed]]]:
    """What pushes in a transaction that ends with the block; plain pushes, where none can be joined."""
    transaction = harness.transaction()
    if transaction is None:
        variant(record_property, "jobs were pushed by themselves, for no transaction was opened to join")
        yield client.backend.push
        return
    assert isinstance(client.backend, Joins), "the harness opens transactions, and the driver joins none"
    with transaction as connection:
        yield partial(client.backend.join, connection)


def in_a_child(work: Callable[[], object]) -> None:
    """Do something in a forked child, and see that it ends well, and in time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads: that is what is tried
        child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:  # noqa: BLE001 -- whatever it is, the child ends here
            traceback.print_exc()
        finally:
            os._exit(code)
    assert _exit_code(child) == 0, "the child failed (1), or was stuck (-9)"


def _exit_code(child: int) -> int:
    """How a child ends; it is killed if it does not."""
    deadline = time.monotonic() + PATIENCE
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
        threading.Event().wait(0.005)
    return os.waitstatus_to_exitcode(ended[1])
