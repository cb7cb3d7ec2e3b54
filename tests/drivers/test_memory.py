"""The memory driver: the suite, and what is its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from jobcore.backend import Backend, ConfigurationError, Keep, Push, State, Succeed, Wakes
from jobcore.backends.memory import MemoryBackend, Store, connect
from jobcore.conformance import BackendSuite, Client, Harness, Look
from jobcore.conformance.details_around import in_a_child
from jobcore.conformance.harness import count_lines
from jobcore.testing import ManualClock


class MemoryHarness(Harness):
    """One store in memory."""

    name = "memory"
    examples = 60

    def __init__(self) -> None:
        self.clock = ManualClock()
        self._store = Store()

    def make(self) -> Backend:
        return MemoryBackend(self.clock, store=self._store)

    def apart(self) -> Backend:
        return MemoryBackend(self.clock)

    def unclocked(self) -> Backend:
        return MemoryBackend(store=self._store)

    def look(self, queue: str) -> Look:
        jobs = self._store.queues.get(queue)
        found = {id: (job.state, job.push.payload) for id, job in jobs._jobs.items()} if jobs else {}
        return Look(found, [queue] if jobs else [])

    def work(self, call: Callable[[], object]) -> int:
        """The lines of Python that it runs: all of the store is Python, and its loops are among them."""
        return count_lines(call)


class TestMemory(BackendSuite):
    @pytest.fixture
    def harness(self) -> Harness:
        return MemoryHarness()

    def test_its_counter_sees_what_a_verb_goes_through(self, harness: Harness, one: Client) -> None:
        ids = [f"{n}" for n in range(1000)]
        one.push(*ids, payload=os.urandom(1500))
        one.entry("0")
        few, many = (harness.work(lambda n=n: one.backend.get("q", ids[:n])) for n in (1, 1000))
        assert few > 0
        assert many > 20 * few

    def test_it_wakes(self, one: Client) -> None:
        assert isinstance(one.backend, Wakes)

    def test_a_forked_child_goes_on_with_a_copy(self, one: Client) -> None:
        one.push("a", "b")

        def child() -> None:
            one.settle(Succeed(), *one.claim(), keep=Keep())
            one.push("c")
            assert one.ids(State.READY) == ["c"]

        in_a_child(child)
        assert one.ids(State.READY) == ["a", "b"]

    def test_it_says_where_jobs_are_confined(self) -> None:
        assert MemoryBackend().confined() == "the memory of one process"

    def test_closing_wakes_those_who_wait(self) -> None:
        store, woken = Store(), list[bool]()
        store.wake = lambda: woken.append(True)  # type: ignore[method-assign]  # to be told
        MemoryBackend(store=store).close()
        assert woken == [True]

    @pytest.mark.parametrize(
        ("due", "timeout", "waits"),
        [
            (None, 0.5, [0.5]),
            (None, 5.0, [1.0]),
            (250_000, 0.5, [0.25]),
            (750_000, 0.5, [0.5]),
            (1, 0.5, [0.001]),  # a clock that stands still keeps nobody busy
            (0, 0.5, []),
            (-1, 0.5, []),
            (None, 0.0, []),
            (250_000, 0.0, []),
        ],
    )
    def test_it_waits_until_the_first_job_is_due(self, due: int | None, timeout: float, waits: list[float]) -> None:
        clock, asked = ManualClock(), list[float | None]()
        backend = MemoryBackend(clock)
        backend.store.changed.wait = asked.append  # type: ignore[assignment,method-assign]  # to be told
        if due is not None:
            backend.push("q", [Push("a", b"", delay=max(due, 0))])
            backend.push("later", [Push("a", b"", delay=due + 1_000_000)])
            clock.advance(microseconds=max(-due, 0))
        assert backend.wait(["q", "later", "none"], timeout) == ({"q"} if due is not None and due <= 0 else set())
        assert asked == waits

    def test_a_waiter_that_is_woken_says_for_which_queue(self) -> None:
        backend = MemoryBackend(ManualClock())
        with ThreadPoolExecutor(1) as pool:
            for number in range(20):  # as a wait may be over just before the push
                told = pool.submit(backend.wait, [f"q{number}"], 1.0)
                while not backend.store.changed._waiters and not told.done():  # type: ignore[attr-defined]  # who waits
                    pass
                backend.push(f"q{number}", [Push("a", b"")])
                if told.result() == {f"q{number}"}:
                    return
        pytest.fail("each wait was for nothing")

    def test_a_job_that_comes_due_ends_a_wait_by_the_wall_clock(self) -> None:
        backend = MemoryBackend()
        backend.push("q", [Push("a", b"", delay=50_000)])
        rounds = 0
        while "q" not in backend.wait(["q"], 1.0):
            rounds += 1
            assert rounds < 100


class TestUrls:
    def test_a_name_is_shared_within_the_process(self) -> None:
        one, two = connect("memory://shared-by-two"), connect("memory://shared-by-two")
        one.push("q", [Push("a", b"")])
        one.close()
        assert two.counts("q").ready == 1
        assert connect("memory://another").counts("q").ready == 0

    def test_without_a_name_it_is_private(self) -> None:
        connect("memory://").push("q", [Push("a", b"")])
        assert connect("memory://").counts("q").ready == 0

    @pytest.mark.parametrize("url", ["memory://a/b", "memory:a", "memory://a b", "memory://u:p@host:1", "redis://a"])
    def test_another_form_is_refused(self, url: str) -> None:
        with pytest.raises(ConfigurationError):
            connect(url)

    def test_there_are_no_options(self) -> None:
        with pytest.raises(ConfigurationError, match="no option 'timeout'"):
            connect("memory://?timeout=1")
