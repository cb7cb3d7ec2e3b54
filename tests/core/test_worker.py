"""The worker as a whole: steps, draining, limits, fairness, prefetch, jobs that run alone, and idling."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest
from core.loops import Faulty, Told, eventually, pause, running, states, turns_of

from jobcore.backend import Push
from jobcore.backends.memory import MemoryBackend
from jobcore.errors import InvalidArgument
from jobcore.events import Kind
from jobcore.job import LinearBackoff, Retry
from jobcore.queue import Queue
from jobcore.testing import ManualClock
from jobcore.worker import Worker

SECOND = 1_000_000


def noting(backend: Any, name: str = "q", **options: Any) -> tuple[Queue[None], list[int]]:
    queue: Queue[None] = Queue(name, backend, **options)
    ran: list[int] = []

    @queue.job(name="note")
    def note(number: int) -> None:
        ran.append(number)

    return queue, ran


def fill(queue: Queue[Any], number: int, **options: Any) -> None:
    for each in range(number):
        queue.enqueue_named("note", {"number": each}, **options)


# -- arguments


@pytest.mark.parametrize(
    "options",
    [
        {"concurrency": 0},
        {"concurrency": 1.5},
        {"concurrency": True},
        {"limits": {"other": 1}},
        {"limits": {"q": 0}},
        {"limits": {"q": "1"}},
        {"lease": 0},
        {"lease": -1},
        {"lease": float("nan")},
        {"lease": "soon"},
        {"poll_interval": 0},
        {"grace": -1},
        {"grace": float("inf")},
    ],
)
def test_an_argument_without_sense_is_refused(options: dict[str, Any]):
    with pytest.raises(InvalidArgument):
        Worker(Queue("q", "memory://"), **options)


def test_a_worker_takes_each_queue_once_and_one_at_least():
    with pytest.raises(InvalidArgument):
        Worker()
    with pytest.raises(InvalidArgument, match="once"):
        Worker(Queue("q", "memory://"), Queue("q", "memory://"))


def test_making_a_worker_opens_nothing():
    def never() -> Any:
        raise AssertionError("opened")

    Worker(Queue("q", never))


# -- step


def test_step_claims_once_from_each_queue_and_settles_all_that_it_ran():
    backend = Faulty()
    one, ran_one = noting(backend, "one")
    other, ran_other = noting(backend, "other")
    fill(one, 5)
    fill(other, 2)
    worker = Worker(one, other, concurrency=3)
    assert worker.step() == 5
    assert (ran_one, ran_other) == ([0, 1, 2], [0, 1])
    assert states(one) == {"ready": 2}
    assert backend.calls["claim"] == 2
    assert backend.calls["reclaim"] == 0  # it runs no monitor
    assert [worker.step(), worker.step()] == [2, 0]
    worker.stop()


def test_step_never_waits_for_jobs_that_are_not_due():
    queue, ran = noting("memory://")
    fill(queue, 1, delay=3600)
    worker = Worker(queue)
    assert worker.step() == 0
    worker.stop()
    assert ran == []


def test_a_queues_name_is_no_queue():
    with pytest.raises(InvalidArgument, match="not 'mail'"):
        Worker("mail")  # type: ignore[arg-type]  # the mistake that is tried


def test_step_runs_lost_jobs_too():
    clock = ManualClock()
    queue, ran = noting(MemoryBackend(clock))
    fill(queue, 3)
    lose(queue, clock, times=2)
    worker = Worker(queue)
    assert [worker.step() for _ in range(4)] == [1, 1, 1, 0]
    worker.stop()
    assert sorted(ran) == [0, 1, 2]


# -- until empty


def test_until_empty_runs_what_jobs_push_and_what_is_retried_at_once():
    queue = Queue("q", "memory://", backoff=LinearBackoff(0))
    ran: list[int] = []

    @queue.job
    def tree(depth: int) -> None:
        ran.append(depth)
        if depth:
            queue.enqueue_many([tree.job(depth - 1)] * 2)

    @queue.job(context=True)
    async def stubborn(context: Any) -> Any:
        ran.append(-context.attempt)
        return Retry() if context.attempt < 4 else None

    tree.enqueue(4)
    stubborn.enqueue()
    Worker(queue, monitor=False, concurrency=3).run(until_empty=True)
    assert Counter(ran) == {4: 1, 3: 2, 2: 4, 1: 8, 0: 16, -1: 1, -2: 1, -3: 1, -4: 1}
    assert states(queue) == {}


def test_until_empty_does_not_wait_for_what_is_not_due():
    queue, ran = noting("memory://")
    fill(queue, 1)
    fill(queue, 1, delay=3600)
    Worker(queue, monitor=False).run(until_empty=True)
    assert ran == [0]
    assert states(queue) == {"scheduled": 1}


def test_until_empty_follows_jobs_from_queue_to_queue_over_several_stores():
    """Each job pushes the next one to the other queue, which its mover had found empty by then."""
    queues = [Queue(f"q{index}", "memory://") for index in range(3)]
    ran: list[int] = []
    for queue in queues:

        @queue.job
        def hop(left: int) -> None:
            ran.append(left)
            if left:
                queues[left % 3].enqueue_named("hop", {"left": left - 1})

    queues[0].enqueue_named("hop", {"left": 60})
    Worker(*queues, monitor=False).run(until_empty=True)
    assert ran == list(range(60, -1, -1))


# -- limits and fairness


def test_a_limit_bounds_a_queue_and_leaves_the_other_hands_to_others():
    video: Queue[None] = Queue("video", "memory://x-limits")
    mail: Queue[None] = Queue("mail", "memory://x-limits")
    running_now, most, lock, sent = [0], [0], threading.Lock(), threading.Event()
    mails: list[int] = []

    @video.job
    def encode() -> None:
        with lock:
            running_now[0] += 1
            most[0] = max(most[0], running_now[0])
        sent.wait(20)
        with lock:
            running_now[0] -= 1

    @mail.job
    def send(number: int) -> None:
        mails.append(number)
        if len(mails) == 20:
            sent.set()

    video.enqueue_many([encode.job()] * 10)
    mail.enqueue_many([send.job(number) for number in range(20)])
    Worker(video, mail, concurrency=4, limits={"video": 2}, monitor=False).run(until_empty=True)
    assert most == [2]
    assert len(mails) == 20


def test_free_hands_go_round_the_queues():
    backend, begun, release = MemoryBackend(), Counter[str](), threading.Event()
    queues = [Queue(name, backend) for name in "abcd"]
    for queue in queues:

        @queue.job
        def hold(name: str) -> None:
            begun[name] += 1
            release.wait(20)

        queue.enqueue_many([hold.job(queue.name)] * 20)
    with running(Worker(*queues, concurrency=8, monitor=False)):
        eventually(lambda: begun.total() == 8)
        assert begun == dict.fromkeys("abcd", 2)
        release.set()
        eventually(lambda: begun.total() == 80)


def test_a_hand_that_one_stores_job_leaves_is_taken_by_anothers():
    """Its queue's mover sleeps until somebody tells it that there is room again."""
    first, begun, release = Queue("first", "memory://"), threading.Event(), threading.Event()
    second, ran = noting("memory://", "second")

    @first.job
    def long() -> None:
        begun.set()
        release.wait(20)

    long.enqueue()
    worker = Worker(first, second, concurrency=1, monitor=False, poll_interval=3600)
    with running(worker):
        assert begun.wait(20)
        fill(second, 1)
        eventually(lambda: all(mover.hungry for mover in worker._shift.movers))
        release.set()
        eventually(lambda: ran == [0])


# -- prefetch


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_draining_takes_one_call_for_twenty_jobs_at_the_most(kind: str):
    backend = Faulty()
    queue: Queue[None] = Queue("q", backend)

    @queue.job(name="sync")
    def plain() -> None: ...

    @queue.job(name="async")
    async def loopy() -> None: ...

    backend.inner.push("q", [Push(f"{index}", b'{"job":"%s","args":{}}' % kind.encode()) for index in range(5000)])
    Worker(queue, monitor=False).run(until_empty=True)
    assert states(queue) == {}
    assert backend.calls.total() - backend.calls["counts"] <= 5000 / 20


def test_what_waits_behind_long_jobs_goes_back_uncounted():
    backend, begun, release = Faulty(), threading.Semaphore(0), threading.Event()
    queue: Queue[None] = Queue("q", backend)

    @queue.job
    def quick() -> None: ...

    @queue.job
    def long() -> None:
        begun.release()
        release.wait(20)

    queue.enqueue_many([quick.job()] * 2000 + [long.job()] * 50)
    with running(Worker(queue, monitor=False, concurrency=2)):
        for _ in range(2):
            assert begun.acquire(timeout=20)
        eventually(lambda: states(queue) == {"running": 2, "ready": 48})
        assert {entry.attempt for entry in queue.entries("ready").entries} == {0}
        release.set()
        eventually(lambda: states(queue) == {})


def test_prefetch_is_bounded_in_bytes_but_hands_are_not_left_idle(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("jobcore.mover.PREFETCH_BYTES", 1000)
    begun, release = threading.Semaphore(0), threading.Event()
    queue: Queue[None] = Queue("q", "memory://")

    @queue.job
    def heavy(load: str) -> None:
        begun.release()
        release.wait(20)

    queue.enqueue_many([heavy.job("x" * 600)] * 12)
    worker = Worker(queue, monitor=False, concurrency=4)
    with running(worker):
        for _ in range(4):
            assert begun.acquire(timeout=20)
        worker._shift.movers[0]._settler.pace = 1e9  # as if jobs were short: it would claim all
        worker._shift.movers[0].wake()
        eventually(lambda: not worker._shift.movers[0].lanes[0].woken or states(queue))
        assert states(queue) == {"running": 4, "ready": 8}
        release.set()
        eventually(lambda: states(queue) == {})


# -- jobs that were lost


def lose(queue: Queue[Any], clock: ManualClock, *, times: int, limit: int = 100) -> None:
    """Have workers die that hold the first jobs of a queue, and their jobs brought back."""
    from jobcore.monitor import Monitor

    for number in range(times):
        queue.backend.claim(queue.name, limit, SECOND, "dead", b"dead %011d" % number, 2**30)
        clock.advance(1)
        Monitor(queue, heal=False).step()


@pytest.mark.parametrize("lost", [1, 2])
def test_a_job_that_was_lost_twice_is_run_alone(lost: int):
    clock = ManualClock()
    backends = [MemoryBackend(clock), MemoryBackend(clock)]
    queues = [Queue(name, backend, keep_succeeded=100) for name, backend in zip("ab", backends, strict=True)]
    lock, now, together = threading.Lock(), [0], set()

    for queue in queues:

        @queue.job(name="note", context=True)
        def note(context: Any, number: int) -> None:
            with lock:
                now[0] += 1
                together.add((context.lost, now[0]))
            threading.Event().wait(0.001)
            with lock:
                now[0] -= 1

    fill(queues[0], 3, priority=1)
    lose(queues[0], clock, times=lost)
    for queue in queues:
        fill(queue, 60)
    with running(Worker(*queues, monitor=False, concurrency=4)):
        eventually(lambda: [states(queue) for queue in queues] == [{"succeeded": 63}, {"succeeded": 60}])
    beside_the_lost = {number for times, number in together if times == lost}
    if lost == 2:
        assert beside_the_lost == {1}
    assert max(number for _, number in together) > 1


def test_neighbours_are_settled_before_a_job_runs_alone():
    clock = ManualClock()
    queue: Queue[None] = Queue("q", MemoryBackend(clock), keep_succeeded=100)
    seen: list[dict[str, int]] = []

    @queue.job(name="note")
    def poison(number: int) -> None:
        seen.append(states(queue))

    @queue.job
    def sound() -> None: ...

    fill(queue, 1)
    lose(queue, clock, times=2)
    queue.enqueue_many([sound.job()] * 10, priority=1)
    Worker(queue, monitor=False).run(until_empty=True)
    assert seen == [{"running": 1, "succeeded": 10}]


def test_a_job_runs_alone_while_others_that_were_lost_with_it_wait_in_the_queue():
    """Else the poisonous one of them would have them lost again with it, each time, until they fail as it does."""
    clock = ManualClock()
    backend = MemoryBackend(clock)
    queues: list[Queue[None]] = [Queue(name, backend, keep_succeeded=100) for name in "ab"]
    seen: list[Counter[str]] = []
    for queue in queues:

        @queue.job(name="note")
        def note(number: int) -> None:
            seen.append(sum((Counter(states(each)) for each in queues), Counter()))

        fill(queue, 3)
        lose(queue, clock, times=2)
    Worker(*queues, monitor=False).run(until_empty=True)
    assert [each["running"] for each in seen] == [1] * 6


def test_jobs_that_were_lost_before_are_claimed_one_at_a_time():
    """Whatever kills the worker counts against all that it holds, also what it was about to give back."""
    clock, told = ManualClock(), Told()
    backend = Faulty(MemoryBackend(clock))
    queue: Queue[None] = Queue("q", backend, keep_succeeded=100)

    @queue.job
    def note(number: int) -> None: ...

    fill(queue, 40)
    lose(queue, clock, times=2)
    fill(queue, 40)
    del backend.sent[:]
    Worker(queue, monitor=False, on_event=told).run(until_empty=True)
    assert states(queue) == {"succeeded": 80}
    first, *limits = [args[1] for verb, args in backend.sent if verb == "claim"]
    assert limits[:39] == [1] * 39
    assert len([event for event in told.of(Kind.RETURNED) if event.lost]) == first - 1
    assert max(limits[39:]) > 1


def test_a_step_runs_a_lost_job_after_those_of_all_other_queues():
    clock = ManualClock()
    queues: list[Queue[None]] = [Queue(name, MemoryBackend(clock)) for name in "abc"]
    ran: list[str] = []
    for queue in queues:

        @queue.job(name="note", context=True)
        def note(context: Any, number: int) -> None:
            ran.append(context.queue)

    fill(queues[1], 2)
    lose(queues[1], clock, times=2)
    fill(queues[0], 1)
    fill(queues[2], 1)
    worker = Worker(*queues)
    assert worker.step() == 3
    assert (sorted(ran[:2]), ran[2:]) == (["a", "c"], ["b"])
    assert worker.step() == 1
    worker.stop()
    assert states(queues[1]) == {}


def test_a_lost_job_that_is_stuck_does_not_keep_the_rest_from_running():
    clock, told, release = ManualClock(), Told(), threading.Event()
    queue: Queue[None] = Queue("q", MemoryBackend(clock))
    ran: list[bool] = []

    @queue.job(name="note", timeout=0.02)
    def poison(number: int) -> None:
        while not release.is_set():
            try:
                release.wait(20)
            except BaseException:  # noqa: BLE001, S112 -- it won't stop
                continue

    @queue.job
    def sound() -> None:
        ran.append(True)

    fill(queue, 1)
    lose(queue, clock, times=2)
    with running(Worker(queue, monitor=False, grace=0.02, on_event=told)):
        sound.enqueue()
        eventually(lambda: told.of(Kind.STUCK))
        eventually(lambda: ran)
        release.set()


# -- idling


FEW = 40
"""Rounds that a worker may make in a pause: some 20 a second while it waits for what nobody rings for."""


@pytest.mark.parametrize("queues", [1, 3])
def test_an_idle_worker_does_not_spin(queues: int):
    backends = [Faulty() for _ in range(queues)]
    worker = Worker(*[Queue(f"q{index}", backend) for index, backend in enumerate(backends)], monitor=False)
    with running(worker):
        eventually(lambda: all(backend.calls["claim"] for backend in backends))
        turns = turns_of(worker)
        pause()
        assert turns() <= FEW
        assert all(backend.calls["claim"] <= 3 for backend in backends)


def test_a_worker_with_all_hands_busy_does_not_spin():
    backend, release = Faulty(), threading.Event()
    queue: Queue[None] = Queue("q", backend)

    @queue.job
    def long() -> None:
        release.wait(20)

    queue.enqueue_many([long.job()] * 30)
    worker = Worker(queue, monitor=False, concurrency=2)
    with running(worker):
        eventually(lambda: states(queue) == {"ready": 28, "running": 2})
        turns = turns_of(worker)
        pause()
        assert turns() <= FEW
        assert backend.calls["wait"] <= 3
        release.set()
        eventually(lambda: states(queue) == {})


def test_a_worker_whose_queue_is_at_its_limit_does_not_spin():
    """While another queue, from the same store, is idle and waited for."""
    backend, release = Faulty(), threading.Event()
    limited: Queue[None] = Queue("limited", backend)
    idle: Queue[None] = Queue("idle", backend)

    @limited.job
    def long() -> None:
        release.wait(20)

    limited.enqueue_many([long.job()] * 5)
    worker = Worker(limited, idle, monitor=False, limits={"limited": 1})
    with running(worker):
        eventually(lambda: states(limited) == {"ready": 4, "running": 1})
        turns, waits = turns_of(worker), backend.calls["wait"]
        pause()
        assert turns() <= FEW
        assert backend.calls["wait"] - waits <= FEW
        release.set()
        eventually(lambda: states(limited) == {})


def test_a_worker_that_waits_for_a_lonely_job_does_not_spin():
    clock, release = ManualClock(), threading.Event()
    backend = Faulty(MemoryBackend(clock))
    queue: Queue[None] = Queue("q", backend, keep_succeeded=10)

    @queue.job(name="note")
    def lonely(number: int) -> None: ...

    @queue.job
    def long() -> None:
        release.wait(20)

    fill(queue, 1)
    lose(queue, clock, times=2)
    queue.enqueue(long.job(), priority=1)
    worker = Worker(queue, monitor=False)
    with running(worker):
        eventually(lambda: states(queue) == {"running": 2})
        turns, claims = turns_of(worker), backend.calls["claim"]
        pause()
        assert turns() <= FEW
        assert backend.calls["claim"] == claims
        release.set()
        eventually(lambda: states(queue) == {"succeeded": 2})


def test_an_idle_worker_starts_what_is_pushed_and_what_comes_due_without_polling():
    clock = ManualClock()
    queue, ran = noting(MemoryBackend(clock))
    with running(Worker(queue, monitor=False, poll_interval=3600)):
        fill(queue, 1)
        eventually(lambda: ran == [0])
        queue.enqueue_named("note", {"number": 1}, delay=600)
        clock.advance(599.9)
        eventually(lambda: states(queue) == {"scheduled": 1})
        assert ran == [0]
        clock.advance(0.1)
        eventually(lambda: ran == [0, 1])


def test_a_store_that_cannot_wake_is_polled():
    class Mute:
        def __init__(self) -> None:
            self.inner = MemoryBackend()

        def __getattr__(self, verb: str) -> Any:
            if verb == "wait":
                raise AttributeError(verb)
            return getattr(self.inner, verb)

    queue, ran = noting(Mute())
    with running(Worker(queue, monitor=False, poll_interval=0.01)):
        fill(queue, 3)
        eventually(lambda: sorted(ran) == [0, 1, 2])


def test_a_job_pushed_while_a_claim_is_under_way_is_not_forgotten():
    """The claim has found nothing; the news of the job comes before its answer does."""
    backend = Faulty()
    queue, ran = noting(backend)
    worker = Worker(queue, monitor=False, poll_interval=3600)

    def push_once(verb: str) -> None:
        if verb == "claim":
            backend.after = lambda verb: None
            fill(queue, 1)
            worker._shift.movers[0].wake(["q"])

    def tell_nothing(queues: object, timeout: float) -> set[str]:
        threading.Event().wait(0.01)
        return set()

    backend.inner.wait = tell_nothing  # type: ignore[method-assign]  # as a store that tells of a job once
    backend.after = push_once
    with running(worker):
        eventually(lambda: ran == [0])
