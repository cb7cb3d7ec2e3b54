"""A driver for LMDB: a store of sorted keys in a file, with transactions, that needs no server.

`lmdb:///path/to/folder` opens the folder's store and makes it if need be; `?size=` is the most bytes that it may
grow to (1 GiB), `?sync=no` leaves it to the system when to write to disk. Any number of processes of one machine may
share it. One of them writes at a time, so each verb is one transaction, and what is decided in it can't be
overtaken. LMDB tells nobody of changes: without `Wakes`, workers poll.

Each key begins with the queue's name and a NUL, then says what it holds:

    j id                → the job, in MessagePack
    o shelf, place      → the id of the job at this place: what a shelf is sorted by, see `Job.place_key`
    n shelf             → how many jobs are on it
    c call, id          → nothing: this call holds this job
    m id                → until when this id is remembered
    e time, id          → nothing: at this time that id is forgotten

and the key `turn`, without a queue, holds the last number given to a push, a claim or a settlement.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from struct import Struct
from threading import Condition, Lock
from typing import Final
from urllib.parse import unquote, urlsplit
from weakref import WeakSet, WeakValueDictionary

import lmdb
import msgspec

from jobcore.backend import (
    REDRIVABLE,
    Answer,
    Claim,
    Claimed,
    Clock,
    ConfigurationError,
    Counts,
    Entry,
    Fail,
    Hold,
    InvalidArgument,
    Keep,
    Outcome,
    Page,
    Push,
    Pushed,
    QueueClosed,
    Refused,
    Retry,
    Return,
    State,
    Succeed,
    SystemClock,
    check_claim,
    check_extend,
    check_id,
    check_peek,
    check_push,
    check_queue,
    check_reclaim,
    check_settle,
    url_options,
)

GIGABYTE: Final = 1 << 30
SECOND: Final = 1_000_000
TURN: Final = b"turn"
NUMBER: Final = Struct(">Q")
WAITING: Final = Struct(">BQQ")
STARTED: Final = Struct(">QQ")
LAST: Final = (1 << 64) - 1
SHELVES: Final = {
    State.READY: b"w",
    State.SCHEDULED: b"w",  # the same jobs, seen from before their time
    State.RUNNING: b"r",
    State.SUCCEEDED: b"s",
    State.FAILED: b"f",
    State.TIMED_OUT: b"f",  # together, as they share a cap
    State.BROKEN: b"b",
}

# LMDB allows a store to be opened once in a process; it is closed when the last backend has let go of it.
_stores: Final[WeakValueDictionary[tuple[int, str], lmdb.Environment]] = WeakValueDictionary()
_backends: Final[WeakSet[LmdbBackend]] = WeakSet()
_left_to_parents: Final[list[lmdb.Environment]] = []


class Gate:
    """Lets calls pass, and has whoever forks wait until none is under way.

    A child gives up the transactions of threads that it does not have, and so would end, in memory that it shares with
    its parent, what the parent is still writing.
    """

    def __init__(self) -> None:
        self._changed = Condition(Lock())
        self._calls = 0
        os.register_at_fork(
            before=self._shut, after_in_parent=self._changed.release, after_in_child=self._changed.release
        )

    def __enter__(self) -> None:
        with self._changed:
            self._calls += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._calls -= 1
            self._changed.notify_all()

    def _shut(self) -> None:
        self._changed.acquire()
        self._changed.wait_for(lambda: not self._calls)


GATE: Final = Gate()


class Lease(msgspec.Struct, frozen=True):
    """Who holds a job, by which token, until when; and when the lease ended that this one took over."""

    call: bytes
    fence: int
    holder: str
    until: int
    lapsed_at: int | None = None


class Job(msgspec.Struct):
    """A job as it is stored; `lease` is there while it runs."""

    id: str
    payload: bytes
    priority: int
    remember: int
    pushed_at: int
    place: int
    turn: int
    state: State = State.READY
    attempt: int = 0
    lost: int = 0
    lease: Lease | None = None
    started_at: int | None = None
    finished_at: int | None = None
    settled: int = 0
    reason: str | None = None
    value: bytes | None = None

    def place_key(self) -> bytes:
        """Where it stands on its shelf: waiting jobs by the order key, running ones by start, others newest first."""
        match self.state:
            case State.READY:
                return WAITING.pack(100 - self.priority, self.place, self.turn)
            case State.RUNNING:
                return STARTED.pack(self.started_at, self.turn)
            case _:
                return NUMBER.pack(LAST - self.settled)

    def view(self, now: int) -> State:
        """Its state, with READY and SCHEDULED told apart."""
        return State.SCHEDULED if self.state is State.READY and self.place > now else self.state

    def claim(self, lease: Lease) -> Claim:
        """What its holder is told."""
        return Claim(
            self.id, lease.call, lease.fence, self.payload, self.priority, self.attempt, self.lost, self.pushed_at,
            self.started_at or 0, lease.until, lease.lapsed_at,
        )  # fmt: skip

    def entry(self, now: int) -> Entry:
        """All that is known of it."""
        lease = self.lease
        return Entry(
            self.id, self.view(now), self.payload, self.priority, self.place, self.attempt, self.lost, self.pushed_at,
            self.started_at, lease.until if lease else None, lease.holder if lease else None, self.finished_at,
            self.reason, self.value,
        )  # fmt: skip


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Job).decode


class Jobs:
    """The jobs of one queue within one transaction, and the moves between their states."""

    def __init__(self, transaction: lmdb.Transaction, queue: str, now: int) -> None:
        self._transaction = transaction
        self._prefix = queue.encode() + b"\0"
        self.now = now

    # -- verbs, each for one item

    def push(self, push: Push) -> Pushed:
        """Store a job, unless its id is known."""
        if known := self.find(push.id):
            return Pushed(push.id, created=False, state=known.view(self.now))
        if self._get(b"m", push.id.encode()):
            return Pushed(push.id, created=False, state=None)
        place = max(self.now + push.delay, push.run_at or 0)
        job = Job(push.id, push.payload, push.priority, push.remember, self.now, place, self._next_turn())
        self._put_on_shelf(job, State.READY)
        return Pushed(job.id, created=True, state=job.view(self.now))

    def claim(self, limit: int, lease: int, holder: str, call: bytes, max_bytes: int) -> Claimed:
        """Give due jobs, or again those that `call` holds."""
        if held := self.held(call):
            return Claimed(held, self.now, self.now)
        jobs, full = self._choose(limit, max_bytes)
        claims = [self._begin(job, call, holder, lease) for job in jobs]
        return Claimed(claims, self.now, self.now if full else self._next_due())

    def reclaim(self, limit: int, lease: int, holder: str, call: bytes, of: str | None) -> list[Claim]:
        """Give running jobs whose holder is lost, or again those that `call` holds."""
        if held := self.held(call):
            return held
        lost = sorted(self._lost(of), key=lambda pair: pair[0].until)
        return [self._take_over(job, old, call, holder, lease) for old, job in lost[:limit]]

    def extend(self, hold: Hold, lease: int) -> Answer:
        """Move the end of a lease."""
        job = self.find(hold.id)
        if job is None or job.lease is None or not _holds(hold, job.lease):
            return Answer.LOST
        job.lease = msgspec.structs.replace(job.lease, until=self.now + lease)
        self._save(job)
        return Answer.HELD

    def settle(self, hold: Hold, outcome: Outcome) -> Answer:
        """End a run."""
        job = self.find(hold.id)
        if job is None or job.lease is None or not _holds(hold, job.lease):
            return Answer.LOST
        self._take_off_shelf(job)
        self._release(job)
        match outcome:
            case Succeed(value):
                job.reason, job.value = None, value
                self._finish(job, State.SUCCEEDED)
            case Fail(state, reason):
                job.reason = reason
                self._finish(job, state)
            case Retry(delay, reason):
                job.reason = reason
                self._make_ready(job, self.now + delay)
            case Return():
                job.attempt, job.started_at = job.attempt - 1, None
                self._put_on_shelf(job, State.READY)
        return Answer.DONE

    def trim(self, state: State, cap: int) -> None:
        """Keep the newest of a shelf of finished jobs."""
        surplus = max(self._number_on(SHELVES[state]) - cap, 0)
        for id in [*islice(self._oldest(SHELVES[state]), surplus)]:
            self._drop(self._load(id))

    def redrive(self, id: str) -> Answer:
        """Make a failed job ready again, as if it had never run."""
        job = self.find(id)
        if job is None:
            return Answer.MISSING
        if job.state not in REDRIVABLE:
            return Answer.WRONG_STATE
        self._take_off_shelf(job)
        job.attempt = job.lost = 0
        job.reason = None
        self._make_ready(job, self.now)
        return Answer.DONE

    def remove(self, id: str) -> Answer:
        """Take a job out of the store."""
        job = self.find(id)
        if job is None:
            return Answer.MISSING
        if job.state is State.RUNNING:
            return Answer.WRONG_STATE
        self._drop(job)
        return Answer.DONE

    def destroy(self) -> None:
        """Delete all keys of the queue."""
        for key, _ in [*self._scan(self._prefix)]:
            self._transaction.delete(self._prefix + key)

    def forget(self) -> None:
        """Let go of the ids whose time is over."""
        for key, _ in [*self._scan(self._key(b"e"), high=NUMBER.pack(self.now + 1))]:
            self._transaction.delete(self._key(b"e", key))
            self._transaction.delete(self._key(b"m", key[NUMBER.size :]))

    # -- looking

    def find(self, id: str) -> Job | None:
        """The job of an id."""
        stored = self._get(b"j", id.encode())
        return _decode(stored) if stored else None

    def held(self, call: bytes) -> list[Claim]:
        """What a call holds, in the order in which it was given: what a reclaim gave, by the end of the lease lost."""
        jobs = [self._load(id) for id, _ in self._scan(self._key(b"c", call))]
        jobs.sort(key=lambda job: (-job.priority, job.place, job.turn))
        claims = [job.claim(job.lease) for job in jobs if job.lease]
        return sorted(claims, key=lambda claim: claim.lapsed_at or 0)

    def listed(self, state: State, after: bytes = b"") -> Iterator[tuple[bytes, Job]]:
        """The jobs of a state, each with its place on the shelf, from behind the place `after` on."""
        for place, id in self._walk(SHELVES[state], after + b"\0" if after else b""):
            job = self._load(id)
            if job.view(self.now) is state:
                yield place, job

    # -- moving a job

    def _put_on_shelf(self, job: Job, state: State) -> None:
        job.state = state
        self._save(job)
        self._transaction.put(self._key(b"o", SHELVES[state], job.place_key()), job.id.encode())
        self._tally(SHELVES[state], 1)

    def _take_off_shelf(self, job: Job) -> None:
        self._transaction.delete(self._key(b"o", SHELVES[job.state], job.place_key()))
        self._tally(SHELVES[job.state], -1)

    def _tally(self, shelf: bytes, change: int) -> None:
        self._transaction.put(self._key(b"n", shelf), NUMBER.pack(self._number_on(shelf) + change))

    def _number_on(self, shelf: bytes) -> int:
        """How many jobs are on a shelf: counted as they come and go, for a cap must not cost what it keeps."""
        stored = self._get(b"n", shelf)
        return int(NUMBER.unpack(stored)[0]) if stored else 0

    def _make_ready(self, job: Job, place: int) -> None:
        job.place, job.turn, job.started_at, job.finished_at = place, self._next_turn(), None, None
        self._put_on_shelf(job, State.READY)

    def _finish(self, job: Job, state: State) -> None:
        job.finished_at, job.settled = self.now, self._next_turn()
        self._put_on_shelf(job, state)

    def _drop(self, job: Job) -> None:
        self._take_off_shelf(job)
        id = job.id.encode()
        self._transaction.delete(self._key(b"j", id))
        if job.remember:
            until = NUMBER.pack(self.now + job.remember * SECOND)
            self._transaction.put(self._key(b"m", id), until)
            self._transaction.put(self._key(b"e", until, id), b"")

    # -- holding a job

    def _begin(self, job: Job, call: bytes, holder: str, lease: int) -> Claim:
        self._take_off_shelf(job)
        job.attempt, job.started_at = job.attempt + 1, self.now
        return self._grant(job, Lease(call, self._next_turn(), holder, self.now + lease))

    def _take_over(self, job: Job, old: Lease, call: bytes, holder: str, lease: int) -> Claim:
        self._take_off_shelf(job)
        self._release(job)
        job.lost += 1
        return self._grant(job, Lease(call, self._next_turn(), holder, self.now + lease, old.until))

    def _grant(self, job: Job, lease: Lease) -> Claim:
        job.lease = lease
        self._transaction.put(self._key(b"c", lease.call, job.id.encode()), b"")
        self._put_on_shelf(job, State.RUNNING)
        return job.claim(lease)

    def _release(self, job: Job) -> None:
        if job.lease:
            self._transaction.delete(self._key(b"c", job.lease.call, job.id.encode()))
        job.lease = None

    # -- choosing among jobs

    def _choose(self, limit: int, max_bytes: int) -> tuple[list[Job], bool]:
        """The jobs to claim, and whether `limit` or `max_bytes` ended the choice."""
        chosen: list[Job] = []
        for id in islice(self._due(), limit):
            job = self._load(id)
            max_bytes -= len(job.payload)
            if chosen and max_bytes < 0:
                return chosen, True
            chosen.append(job)
        return chosen, len(chosen) == limit

    def _due(self) -> Iterator[bytes]:
        """The ids of jobs that are due, band by band: past those of a priority that are not, to the next priority."""
        for band in self._bands():
            for _, id in self._walk(b"w", bytes([band]), WAITING.pack(band, self.now + 1, 0)):
                yield id

    def _next_due(self) -> int | None:
        """The first place that lies ahead, over all priorities."""
        ahead = (
            next(self._walk(b"w", WAITING.pack(band, self.now + 1, 0), bytes([band + 1])), None)
            for band in self._bands()
        )
        return min((WAITING.unpack(found[0])[1] for found in ahead if found), default=None)

    def _bands(self) -> Iterator[int]:
        """The priorities that waiting jobs have, the highest first, as their places begin."""
        band = 0
        while found := next(self._walk(b"w", bytes([band])), None):
            yield found[0][0]
            band = found[0][0] + 1

    def _lost(self, of: str | None) -> Iterator[tuple[Lease, Job]]:
        """The jobs that may be taken over."""
        for _, job in self.listed(State.RUNNING):
            if job.lease and (job.lease.until <= self.now if of is None else job.lease.holder == of):
                yield job.lease, job

    # -- keys

    def _key(self, kind: bytes, *parts: bytes) -> bytes:
        return self._prefix + kind + b"".join(parts)

    def _get(self, kind: bytes, rest: bytes) -> bytes | None:
        found = self._transaction.get(self._key(kind, rest))
        return None if found is None else bytes(found)

    def _load(self, id: bytes) -> Job:
        return _decode(self._get(b"j", id) or b"")

    def _save(self, job: Job) -> None:
        self._transaction.put(self._key(b"j", job.id.encode()), _encode(job))

    def _next_turn(self) -> int:
        """A number above all that were given, and not below the clock: thus a lost counter does no harm."""
        stored = self._transaction.get(TURN)
        turn: int = max(NUMBER.unpack(stored)[0] + 1 if stored else 0, self.now)
        self._transaction.put(TURN, NUMBER.pack(turn))
        return turn

    def _walk(self, shelf: bytes, low: bytes = b"", high: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """The places of a shelf from `low` on and below `high`, with the ids of their jobs."""
        return self._scan(self._key(b"o", shelf), low, high)

    def _oldest(self, shelf: bytes) -> Iterator[bytes]:
        """The ids of the jobs on a shelf, from its end: of finished jobs, the one settled first comes first."""
        prefix = self._key(b"o", shelf)
        with self._transaction.cursor() as cursor:
            beyond = cursor.set_range(prefix + b"\xff" * 32)
            for key, id in cursor.iterprev() if (cursor.prev() if beyond else cursor.last()) else ():
                if not bytes(key).startswith(prefix):
                    return
                yield bytes(id)

    def _scan(self, prefix: bytes, low: bytes = b"", high: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """What follows `prefix` in the keys that begin with it, from `low` on and below `high`, with their values."""
        with self._transaction.cursor() as cursor:
            for key, value in cursor if cursor.set_range(prefix + low) else ():
                rest = bytes(key).removeprefix(prefix)
                if len(rest) == len(key) or (high is not None and rest >= high):
                    return
                yield rest, bytes(value)


class LmdbBackend:
    """A `Backend` on an LMDB store.

    Args:
        folder: where the store is, or shall be.
        clock: what tells the time; this machine's wall clock unless given.
        size: the most bytes that it may grow to.
        sync: whether a call returns only when the disk has what it wrote. Without, a crash of the machine, though
            not of the process, may lose the last calls.
    """

    def __init__(self, folder: Path, clock: Clock | None = None, *, size: int = GIGABYTE, sync: bool = True) -> None:
        self._open = partial(_opened, folder, size, sync=sync)
        self._store = self._open()
        self._clock = clock or SystemClock()
        self._closed = False
        _backends.add(self)

    def begin_anew(self) -> None:
        """In a forked child: open the store once more, and neither use nor close what the parent has opened."""
        _left_to_parents.append(self._store)
        self._store = self._open()

    def describe(self) -> dict[str, str]:
        """What the conformance suite's verdict tells of the store."""
        return {"store": "LMDB " + ".".join(map(str, lmdb.version()))}

    def push(self, queue: str, pushes: Sequence[Push]) -> list[Pushed]:
        """See `Backend.push`."""
        check_push(queue, pushes)
        with self._jobs(queue) as jobs:
            jobs.forget()
            return [jobs.push(push) for push in pushes]

    def claim(self, queue: str, limit: int, lease: int, holder: str, call: bytes, max_bytes: int) -> Claimed:
        """See `Backend.claim`."""
        check_claim(queue, limit, lease, holder, call, max_bytes)
        with self._jobs(queue) as jobs:
            return jobs.claim(limit, lease, holder, call, max_bytes)

    def reclaim(
        self, queue: str, limit: int, lease: int, holder: str, call: bytes, of: str | None = None
    ) -> list[Claim]:
        """See `Backend.reclaim`."""
        check_reclaim(queue, limit, lease, holder, call, of)
        with self._jobs(queue) as jobs:
            return jobs.reclaim(limit, lease, holder, call, of)

    def extend(self, queue: str, holds: Sequence[Hold], lease: int) -> list[Answer]:
        """See `Backend.extend`."""
        check_extend(queue, holds, lease)
        with self._jobs(queue) as jobs:
            return [jobs.extend(hold, lease) for hold in holds]

    def settle(self, queue: str, settlements: Sequence[tuple[Hold, Outcome]], keep: Keep) -> list[Answer]:
        """See `Backend.settle`."""
        check_settle(queue, settlements, keep)
        with self._jobs(queue) as jobs:
            answers = [jobs.settle(hold, outcome) for hold, outcome in settlements]
            done = [outcome for (_, outcome), answer in zip(settlements, answers, strict=True) if answer is Answer.DONE]
            if any(isinstance(outcome, Succeed) for outcome in done):
                jobs.trim(State.SUCCEEDED, keep.succeeded)
            if any(isinstance(outcome, Fail) and outcome.state is not State.BROKEN for outcome in done):
                jobs.trim(State.FAILED, keep.failed)
            return answers

    def peek(self, queue: str, state: State, limit: int, after: str | None = None) -> Page:
        """See `Backend.peek`. The cursor is the place of the last entry, in hexadecimal."""
        check_peek(queue, limit)
        with self._jobs(queue, write=False) as jobs:
            found = [*islice(jobs.listed(state, _place(after)), limit + 1)]
            entries = [job.entry(jobs.now) for _, job in found[:limit]]
            return Page(entries, found[limit - 1][0].hex() if len(found) > limit else None)

    def get(self, queue: str, ids: Sequence[str]) -> list[Entry | None]:
        """See `Backend.get`."""
        _check_ids(queue, ids)
        with self._jobs(queue, write=False) as jobs:
            found = [jobs.find(id) for id in ids]
            return [job.entry(jobs.now) if job else None for job in found]

    def counts(self, queue: str) -> Counts:
        """See `Backend.counts`."""
        check_queue(queue)
        with self._jobs(queue, write=False) as jobs:
            return Counts(**{state.value: sum(1 for _ in jobs.listed(state)) for state in State})

    def redrive(self, queue: str, ids: Sequence[str]) -> list[Answer]:
        """See `Backend.redrive`."""
        return self._each(queue, ids, Jobs.redrive)

    def remove(self, queue: str, ids: Sequence[str]) -> list[Answer]:
        """See `Backend.remove`."""
        return self._each(queue, ids, Jobs.remove)

    def destroy(self, queue: str) -> None:
        """See `Backend.destroy`."""
        check_queue(queue)
        with self._jobs(queue) as jobs:
            jobs.destroy()

    def close(self) -> None:
        """See `Backend.close`. The store stays open for others who use it."""
        self._closed = True

    def _each(self, queue: str, ids: Sequence[str], verb: Callable[[Jobs, str], Answer]) -> list[Answer]:
        _check_ids(queue, ids)
        with self._jobs(queue) as jobs:
            return [verb(jobs, id) for id in ids]

    @contextmanager
    def _jobs(self, queue: str, *, write: bool = True) -> Iterator[Jobs]:
        """The queue's jobs in a transaction: committed at the end, given up if anything is raised."""
        if self._closed:
            raise QueueClosed("this backend was closed")
        try:
            with GATE, self._store.begin(write=write) as transaction:
                yield Jobs(transaction, queue, self._clock.now())
        except lmdb.Error as error:
            raise Refused(f"LMDB refuses: {error}") from error


def connect(url: str, *, clock: Clock | None = None) -> LmdbBackend:
    """Open `lmdb:///path/to/folder?size=BYTES&sync=no`: what the entry point names. `clock` is for tests.

    Raises:
        ConfigurationError: the URL has another form, or an option that there is not.
    """
    base, options = url_options(url, {"size": int, "sync": _yes_or_no})
    parts = urlsplit(base)
    if parts.netloc or not parts.path.strip("/"):
        raise ConfigurationError("write lmdb:///path/to/folder, with three slashes")
    return LmdbBackend(Path(unquote(parts.path)), clock, **options)


def _begin_anew() -> None:
    for backend in list(_backends):
        backend.begin_anew()


os.register_at_fork(after_in_child=_begin_anew)


def _opened(folder: Path, size: int, *, sync: bool) -> lmdb.Environment:
    key = os.getpid(), str(folder.resolve())  # a forked child may not use what its parent opened
    store = _stores.get(key)
    if store is None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            store = _stores[key] = lmdb.open(str(folder), map_size=size, sync=sync)
        except (OSError, lmdb.Error) as error:
            raise ConfigurationError(f"no LMDB store can be opened in {folder}: {error}") from error
    return store


def _holds(hold: Hold, lease: Lease) -> bool:
    return (lease.call, lease.fence) == (hold.call, hold.fence)


def _place(cursor: str | None) -> bytes:
    try:
        return bytes.fromhex(cursor or "")
    except ValueError:
        raise InvalidArgument(f"{cursor!r} is no cursor of a listing") from None


def _check_ids(queue: str, ids: Sequence[str]) -> None:
    check_queue(queue)
    for id in ids:
        check_id(id)


def _yes_or_no(text: str) -> bool:
    if text not in {"yes", "no"}:
        raise ValueError("write yes or no")
    return text == "yes"
