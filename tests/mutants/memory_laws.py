"""Mutants of the memory driver that break laws."""

from __future__ import annotations

from typing import Final

from jobcore.conformance.laws_apart import Law10Apart, Law11PerItem
from jobcore.conformance.laws_cost import Law12Depth
from jobcore.conformance.laws_holding import Law3OneHolder, Law4Fenced
from jobcore.conformance.laws_keeping import Law8Bytes, Law9Caps
from jobcore.conformance.laws_order import Law6Ordered, Law7Empty
from jobcore.conformance.laws_prompt import Law13Prompt
from jobcore.conformance.laws_storing import Law1Kept, Law2AtLeastOnce, Law5Idempotent
from mutants.mutant import Mutant

MUTANTS: Final = [
    Mutant(
        "close-clears",
        "When a client is closed, the jobs that it could see are gone.",
        Law1Kept,
        "memory/backend.py",
        "        self._closed = True\n",
        "        self._closed = True\n        self.store.queues.clear()\n",
    ),
    Mutant(
        "reclaim-once",
        "A job that was taken over once is not taken over again.",
        Law2AtLeastOnce,
        "memory/jobs.py",
        "if job.claim and (",
        "if job.claim and not job.lost and (",
    ),
    Mutant(
        "reclaim-never",
        "Only the jobs of a holder known dead are taken over.",
        Law2AtLeastOnce,
        "memory/jobs.py",
        "job.claim.lease_until <= now if of is None",
        "False if of is None",
    ),
    Mutant(
        "claim-not-atomic",
        "A claim lets go of the lock between choosing jobs and taking them.",
        Law3OneHolder,
        "memory/jobs.py",
        "        jobs, full = self._take(limit, max_bytes, now)\n",
        "        import time\n"
        "        from jobcore.backends.memory.backend import _lock\n"
        "        jobs, full = self._take(limit, max_bytes, now)\n"
        "        for job in jobs:\n"
        "            self._wait(job, now)\n"
        "        _lock.release()\n"
        "        time.sleep(0)\n"
        "        _lock.acquire()\n"
        "        self._take(limit, max_bytes, now)\n",
    ),
    Mutant(
        "claim-lapsed",
        "A claim gives out jobs whose lease has run out, as if they were ready.",
        Law3OneHolder,
        "memory/jobs.py",
        "        jobs, full = self._take(limit, max_bytes, now)\n",
        "        for _, _, job in [*self._lost(None, now)]:\n"
        "            self._release(job)\n"
        "            self._wait(job, now)\n"
        "        jobs, full = self._take(limit, max_bytes, now)\n",
    ),
    Mutant(
        "settle-by-id",
        "A settlement is taken from anyone who knows the id of a running job.",
        Law4Fenced,
        "memory/job.py",
        "claim is not None and claim.fence == hold.fence and claim.call == hold.call",
        "claim is not None",
    ),
    Mutant(
        "settle-by-call",
        "Of a token, only the call is compared.",
        Law4Fenced,
        "memory/job.py",
        "claim.fence == hold.fence and claim.call",
        "claim.call",
    ),
    Mutant(
        "fence-is-attempt",
        "The fence is the number of the attempt, which a redrive begins anew.",
        Law4Fenced,
        "memory/jobs.py",
        "push.id, call, self._fence,",
        "push.id, call, job.attempt,",
    ),
    Mutant(
        "extend-stale",
        "A token that the job once had still extends the lease of who took it over.",
        Law4Fenced,
        "memory/jobs.py",
        "if job is None or job.claim is None or not job.is_held(hold):",
        "if job is None or job.claim is None or hold.fence > job.claim.fence:",
    ),
    Mutant(
        "lapsed-is-lost",
        "A lease that ran out is lost, though nobody took it over.",
        Law4Fenced,
        "memory/jobs.py",
        "if job is None or job.claim is None or not job.is_held(hold):",
        "if job is None or job.claim is None or not job.is_held(hold) or job.claim.lease_until <= now:",
    ),
    Mutant(
        "fence-is-clock",
        "The fence is the clock alone: two claims within a microsecond share it.",
        Law4Fenced,
        "memory/jobs.py",
        "max(self._fence + 1, now)",
        "now",
    ),
    Mutant(
        "push-overwrites",
        "Pushing an id again replaces the payload of the job that waits.",
        Law5Idempotent,
        "memory/jobs.py",
        "        if known is not None or push.id in self._remembered:\n",
        "        if known is not None or push.id in self._remembered:\n"
        "            if known:\n"
        "                known.push = push\n",
    ),
    Mutant(
        "push-after-success",
        "An id whose job succeeded, and is kept, can be pushed again.",
        Law5Idempotent,
        "memory/jobs.py",
        "        known = self._jobs.get(push.id)\n",
        "        known = self._jobs.get(push.id)\n"
        "        if known and known.state is State.SUCCEEDED:\n"
        "            self._leave(self._ended[known.state].pop(push.id), now)\n"
        "            known = None\n",
    ),
    Mutant(
        "remember-microseconds",
        "The seconds of `remember` are taken for microseconds: ids are forgotten at once.",
        Law5Idempotent,
        "memory/jobs.py",
        "now + remember * _SECOND",
        "now + remember",
    ),
    Mutant(
        "remember-forever",
        "An id whose time has passed is taken off the calendar, and not out of what is remembered.",
        Law5Idempotent,
        "memory/jobs.py",
        "del self._remembered[heappop(self._expiries)[1]]",
        "heappop(self._expiries)",
    ),
    Mutant(
        "remember-from-push",
        "An id is remembered from the push on, and not from when its job left.",
        Law5Idempotent,
        "memory/jobs.py",
        "now + remember * _SECOND",
        "job.pushed_at + remember * _SECOND",
    ),
    Mutant(
        "due-early",
        "A scheduled job is let out one tick early.",
        Law6Ordered,
        "memory/line.py",
        "source[0][0] > now or",
        "source[0][0] > now + 1 or",
    ),
    Mutant(
        "retry-first",
        "A retried job goes to the front.",
        Law6Ordered,
        "memory/jobs.py",
        "self._wait_anew(job, now + outcome.delay, now)",
        "self._wait_anew(job, outcome.delay, now)",
    ),
    Mutant(
        "return-last",
        "A returned job goes to the back.",
        Law6Ordered,
        "memory/jobs.py",
        "                job.attempt -= 1\n                self._wait(job, now)\n",
        "                job.attempt -= 1\n                self._wait_anew(job, now, now)\n",
    ),
    Mutant(
        "priority-as-text",
        "Priorities are compared as text.",
        Law6Ordered,
        "memory/jobs.py",
        "for _, line in sorted(self._lines.items(), reverse=True):",
        "for _, line in sorted(self._lines.items(), key=lambda band: str(band[0]), reverse=True):",
    ),
    Mutant(
        "ties-by-id",
        "Jobs pushed at one time are in the order of their ids.",
        Law6Ordered,
        "memory/line.py",
        "(job.place, job.seq, job)",
        "(job.place, job.push.id, job)",
    ),
    Mutant(
        "claim-of-none",
        "A claim of none takes one.",
        Law7Empty,
        "memory/jobs.py",
        "while len(taken) < limit and",
        "while len(taken) < max(1, limit) and",
    ),
    Mutant(
        "reclaim-of-none",
        "A reclaim of none takes one.",
        Law7Empty,
        "memory/jobs.py",
        "nsmallest(limit, self._lost(of, now))",
        "nsmallest(limit or 1, self._lost(of, now))",
    ),
    Mutant(
        "payload-as-text",
        "A payload is decoded, and encoded again.",
        Law8Bytes,
        "memory/jobs.py",
        "job = Job(push, now,",
        'job = Job(replace(push, payload=push.payload.decode(errors="replace").encode()), now,',
    ),
    Mutant(
        "payload-trimmed",
        "NULs that end a payload are cut off.",
        Law8Bytes,
        "memory/jobs.py",
        "job = Job(push, now,",
        'job = Job(replace(push, payload=push.payload.rstrip(b"\\0")), now,',
    ),
    Mutant(
        "cap-one-more",
        "One more job is kept than the cap says.",
        Law9Caps,
        "memory/jobs.py",
        "len(ended) > cap:",
        "len(ended) > cap + 1:",
    ),
    Mutant(
        "row-before-others",
        "Jobs that came in order go before those that came in between.",
        Law6Ordered,
        "memory/line.py",
        "others if others and not (row and row[0] < others[0]) else row",
        "row or others",
    ),
    Mutant(
        "cap-drops-newest",
        "A full cap drops the newest.",
        Law9Caps,
        "memory/jobs.py",
        "ended.popitem(last=False)",
        "ended.popitem()",
    ),
    Mutant(
        "cap-of-failed-alone",
        "A job that timed out trims nothing.",
        Law9Caps,
        "memory/jobs.py",
        "sys.maxsize if outcome.state is State.BROKEN else keep.failed",
        "keep.failed if outcome.state is State.FAILED else sys.maxsize",
    ),
    Mutant(
        "cap-of-broken",
        "Broken jobs are trimmed like failed ones.",
        Law9Caps,
        "memory/jobs.py",
        "sys.maxsize if outcome.state is State.BROKEN else keep.failed",
        "keep.failed",
    ),
    Mutant(
        "one-cap-for-all",
        "Successes are kept up to the cap of failures.",
        Law9Caps,
        "memory/jobs.py",
        "State.SUCCEEDED, keep.succeeded, now",
        "State.SUCCEEDED, keep.failed, now",
    ),
    Mutant(
        "cap-trims-one",
        "A settlement trims one job at the most, however many are above the cap.",
        Law9Caps,
        "memory/jobs.py",
        "        while len(ended) > cap:",
        "        if len(ended) > cap:",
    ),
    Mutant(
        "destroy-by-prefix",
        "Destroying a queue takes those along whose names begin with its name.",
        Law10Apart,
        "memory/backend.py",
        "            self.store.queues.pop(queue, None)\n",
        "            for name in [name for name in self.store.queues if name.startswith(queue)]:\n"
        "                del self.store.queues[name]\n",
    ),
    Mutant(
        "batch-stops",
        "A batch of settlements stops at the first that is refused.",
        Law11PerItem,
        "memory/backend.py",
        "            return [jobs.settle(hold, outcome, keep, now) for hold, outcome in settlements]\n",
        "            answers: list[Answer] = []\n"
        "            for hold, outcome in settlements:\n"
        "                lost = Answer.LOST in answers\n"
        "                answers.append(Answer.LOST if lost else jobs.settle(hold, outcome, keep, now))\n"
        "            return answers\n",
    ),
    Mutant(
        "answers-sorted",
        "A batch of redrives is answered in the order of its ids, and not of its items.",
        Law11PerItem,
        "memory/backend.py",
        "[jobs.redrive(id, now) for id in ids]",
        "[jobs.redrive(id, now) for id in sorted(ids)]",
    ),
    Mutant(
        "claim-walks-all",
        "A claim walks over all that is ready before it takes its part.",
        Law12Depth,
        "memory/jobs.py",
        "            while len(taken) < limit and",
        "            due = [place for place in line._row if place[0] <= now]\n"
        "            while due and len(taken) < limit and",
    ),
    Mutant(
        "closed-waits",
        "A closed backend still waits.",
        Law13Prompt,
        "memory/backend.py",
        "        self._check_open()\n        now = self._clock.now()\n        soonest",
        "        now = self._clock.now()\n        soonest",
    ),
    Mutant(
        "wake-never",
        "Who waits is not woken by what becomes ready, and looks again after a second.",
        Law13Prompt,
        "memory/backend.py",
        "            yield self.store.queues[queue], self._clock.now()\n            self.store.changed.notify_all()\n",
        "            yield self.store.queues[queue], self._clock.now()\n",
        slow=True,
    ),
]
