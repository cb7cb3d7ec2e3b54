"""What a store and its queues can be found to lack, before something is lost: the part that holds for every driver."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from jobcore import clocks
from jobcore.backend import Backend, Confined, Counts, Diagnoses, Entry, Finding, Level, State
from jobcore.codec import Undecodable
from jobcore.queue import Queue

SAMPLE: Final = 1000
"""Jobs of each state that are looked at."""

MANY_BROKEN: Final = 10_000
"""BROKEN is the one state that has no bound."""

LAPSED_SECONDS: Final = 60.0
"""Monitors look at a tenth of a lease, every 12 s by default: what lapsed so long ago, nobody looks after."""

SOON_SECONDS: Final = 10.0
WAITING_SECONDS: Final = 60.0
LONG_SECONDS: Final = 600.0


def examine_store(backend: Backend) -> Iterator[Finding]:
    """What a store guarantees, as far as its driver can tell. Raises BackendError."""
    if isinstance(backend, Diagnoses):
        yield from backend.diagnose()
        return
    if isinstance(backend, Confined):
        yield Finding(
            Level.DANGER,
            "store",
            f"it is kept in {backend.confined()}",
            "its jobs end with that process; what others keep so can't be seen from here, and this one is new",
            "sqlite:///PATH, redis:// or postgresql:// for jobs that are to be kept",
        )
        return
    driver = type(backend).__name__
    yield Finding(
        Level.NOTE,
        "driver",
        f"{driver} can't say what its store guarantees",
        "whether acknowledged jobs survive a crash of the store is not known here",
        "see the driver's documentation",
    )


def examine_queue(queue: Queue[Any], *, decode: bool) -> Iterator[Finding]:
    """What is amiss in a queue: jobs that nobody runs, takes over or knows.

    Args:
        queue: where its jobs are; only looked at.
        decode: whether its registered jobs are all that workers know, so that others are unknown to them.

    Raises:
        BackendError: the store did not answer as it should.
    """
    counts, now = queue.counts(), round(clocks.wall() * 1_000_000)
    found = [
        *_running(queue.entries(State.RUNNING, SAMPLE).entries, now),
        *_waiting(queue.entries(State.READY, SAMPLE).entries, counts, now),
        *_kept(queue, counts),
        *(_unknown(queue) if decode else ()),
    ]
    yield from found or [Finding(Level.OK, "jobs", _in_short(counts))]


def _running(entries: Sequence[Entry], now: int) -> Iterator[Finding]:
    left = [(entry.lease_until - now) / 1_000_000 for entry in entries if entry.lease_until is not None]
    lapsed = [-seconds for seconds in left if seconds < -LAPSED_SECONDS]
    if lapsed:
        yield Finding(
            Level.DANGER,
            "monitors",
            f"{_jobs(lapsed)} whose lease ended up to {_span(max(lapsed))} ago {_have(lapsed)} not been taken over",
            "no monitor lives: what dead workers held does not run again",
            "jobcore monitor QUEUE (every worker runs one too, unless it is told --no-monitor)",
        )
    soon = [seconds for seconds in left if 0 < seconds < SOON_SECONDS]
    if soon:
        yield Finding(
            Level.NOTE,
            "leases",
            f"{_jobs(soon)} {_have(soon)} less than {SOON_SECONDS:g} s of lease left",
            "a worker renews at two thirds: theirs are gone, or kept from renewing, or their leases are short",
        )


def _waiting(entries: Sequence[Entry], counts: Counts, now: int) -> Iterator[Finding]:
    oldest = max(((now - entry.place) / 1_000_000 for entry in entries), default=0.0)
    if oldest < WAITING_SECONDS:
        return
    waits = f"a job has been ready for {_span(oldest)}, with {counts.ready:,} ready and {counts.running:,} running"
    if not counts.running:
        yield Finding(
            Level.WARNING, "workers", waits, "nobody seems to run this queue's jobs", "jobcore worker module:queue"
        )
    elif oldest >= LONG_SECONDS:
        yield Finding(
            Level.WARNING,
            "backlog",
            waits,
            "jobs come faster than they are run",
            "more of --processes or --concurrency, or more machines",
        )


def _kept(queue: Queue[Any], counts: Counts) -> Iterator[Finding]:
    kept, cap = counts.failed + counts.timed_out, queue.keep.failed
    if kept >= cap > 0:
        yield Finding(
            Level.NOTE,
            "failed jobs",
            f"{kept:,} are kept, and no more will be",
            "each further one drops the oldest",
            f"jobcore list {queue.name} failed, then redrive or remove; or Queue(keep_failed=…)",
        )
    if counts.broken:
        yield Finding(
            Level.WARNING if counts.broken >= MANY_BROKEN else Level.NOTE,
            "broken jobs",
            f"{counts.broken:,} can't be decoded by the workers that met them",
            "they are kept, byte for byte, without bound, until a worker that can decode them redrives them",
            f"jobcore list {queue.name} broken",
        )


def _unknown(queue: Queue[Any]) -> Iterator[Finding]:
    """What the program, as it is here, could not run of what is queued."""
    queued = (entry for state in (State.READY, State.SCHEDULED) for entry in queue.entries(state, SAMPLE).entries)
    reasons = Counter(reason for entry in queued if (reason := _why_not(queue, entry.payload)))
    for reason, number in reasons.most_common(5):
        yield Finding(
            Level.WARNING,
            "unknown jobs",
            f"{number:,} of the first {SAMPLE:,} queued: {reason}",
            "a worker of this program will set them aside as BROKEN",
            "deploy the program that knows them, or give the class aliases= or upgrade",
        )


def _why_not(queue: Queue[Any], payload: bytes) -> str | None:
    try:
        job_type, args = queue.registry.open(payload)
        job_type.decode(args)
    except Undecodable as error:
        return error.reason
    except Exception as error:  # noqa: BLE001 -- a validator of the user's may raise anything
        return f"{type(error).__name__}: {error}"
    return None


def _in_short(counts: Counts) -> str:
    told = ((number, state) for state in State if (number := getattr(counts, state.value)))
    return ", ".join(f"{number:,} {state.value.replace('_', ' ')}" for number, state in told) or "none"


def _jobs(some: Sequence[object]) -> str:
    more = "at least " if len(some) == SAMPLE else ""
    return f"{more}{len(some):,} running job{'s' * (len(some) > 1)}"


def _have(some: Sequence[object]) -> str:
    return "have" if len(some) > 1 else "has"


def _span(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def worst(findings: Iterable[Finding]) -> Level:
    """The highest level among findings; OK if there are none."""
    return max((finding.level for finding in findings), key=lambda level: level.weight, default=Level.OK)
