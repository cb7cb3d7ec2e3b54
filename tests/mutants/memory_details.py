"""Mutants of the memory driver that break fixed details."""

from __future__ import annotations

from typing import Final

from jobcore.conformance.details_arguments import Closing
from jobcore.conformance.details_claims import Attempts, Claiming, Reclaiming, Repeating
from jobcore.conformance.details_listing import Listing, Looking
from jobcore.conformance.details_time import NextDue, Times
from mutants.mutant import Mutant

MUTANTS: Final = [
    Mutant(
        "max-bytes-early",
        "A claim ends when `max_bytes` are used up exactly.",
        Claiming,
        "memory/jobs.py",
        "if chosen and max_bytes < 0:",
        "if chosen and max_bytes <= 0:",
    ),
    Mutant(
        "repeat-claims-more",
        "A repeated claim gives what the first gave, and new jobs.",
        Repeating,
        "memory/jobs.py",
        "        if call in self._calls:\n            return Claimed(self._held(call), now, now)\n",
        "",
    ),
    Mutant(
        "reclaim-early",
        "A lease ends one tick early.",
        Reclaiming,
        "memory/jobs.py",
        "job.lease.until <= now if of",
        "job.lease.until <= now + 1 if of",
    ),
    Mutant(
        "return-counts",
        "A returned run counts as an attempt.",
        Attempts,
        "memory/jobs.py",
        "                job.attempt -= 1\n",
        "",
    ),
    Mutant(
        "max-bytes-of-first",
        "A job larger than `max_bytes` is never claimed.",
        Claiming,
        "memory/jobs.py",
        "if chosen and max_bytes < 0:",
        "if max_bytes < 0:",
    ),
    Mutant(
        "empty-claim-noted",
        "A call that was given nothing is noted, and gives nothing for ever.",
        Repeating,
        "memory/jobs.py",
        "        for job in jobs:\n            self._leave(job)",
        "        self._calls[call] = {}\n        for job in jobs:\n            self._leave(job)",
    ),
    Mutant(
        "taken-over-given-again",
        "A repeated claim gives what was taken over, with the token of who took it.",
        Repeating,
        "memory/jobs.py",
        "                self._release(job)\n                job.lost += 1\n",
        "                job.lost += 1\n",
    ),
    Mutant(
        "reclaim-any-order",
        "Leases are taken over in the order in which the jobs began, not that of their ends.",
        Reclaiming,
        "memory/jobs.py",
        "nsmallest(limit, self._lost(of, now))",
        "[*islice(self._lost(of, now), limit)]",
    ),
    Mutant(
        "reclaim-says-now",
        "A reclaim tells its own time as that at which the lease ended.",
        Reclaiming,
        "memory/jobs.py",
        "now, lease, lapsed_at)\n        return self",
        "now, lease, now)\n        return self",
    ),
    Mutant(
        "reclaim-restarts",
        "A reclaim sets `started_at` anew.",
        Reclaiming,
        "memory/jobs.py",
        "                job.lost += 1\n",
        "                job.lost += 1\n"
        "                self._leave(job)\n"
        "                job.started_at = now\n"
        "                self._enter(job, State.RUNNING)\n",
    ),
    Mutant(
        "holder-by-prefix",
        "A dead holder's jobs are those of every holder whose name begins with its name.",
        Reclaiming,
        "memory/jobs.py",
        "job.lease.holder == of",
        "job.lease.holder.startswith(of)",
    ),
    Mutant(
        "redrive-keeps-losses",
        "A redriven job keeps count of its lost leases.",
        Attempts,
        "memory/jobs.py",
        "job.attempt = job.lost = 0",
        "job.attempt = 0",
    ),
    Mutant(
        "redrive-ready",
        "A job that is ready can be redriven.",
        Attempts,
        "memory/jobs.py",
        "if job.state not in REDRIVABLE:",
        "if job.state not in REDRIVABLE | {State.READY}:",
    ),
    Mutant(
        "remove-running",
        "A running job is removed.",
        Attempts,
        "memory/jobs.py",
        "        if job.state is State.RUNNING:\n            return Answer.WRONG_STATE\n",
        "        if job.state is State.RUNNING:\n            self._release(job)\n",
    ),
    Mutant(
        "next-due-of-first-band",
        "`next_due` is that of the highest priority.",
        NextDue,
        "memory/jobs.py",
        "min((key[1] for key in ahead if key), default=None)",
        "next((key[1] for key in ahead if key), None)",
    ),
    Mutant(
        "next-due-when-full",
        "`next_due` does not say that the claim stopped at its limit.",
        NextDue,
        "memory/jobs.py",
        "chosen, len(chosen) == limit",
        "chosen, False",
    ),
    Mutant(
        "extend-from-end",
        "An extension counts from the lease's end.",
        Times,
        "memory/jobs.py",
        "until=now + lease)",
        "until=job.lease.until + lease)",
    ),
    Mutant(
        "started-once",
        "`started_at` stays that of the first run.",
        Times,
        "memory/jobs.py",
        "            job.started_at = now\n",
        "            job.started_at = job.started_at or now\n",
    ),
    Mutant(
        "redrive-old-place",
        "A redriven job keeps its place.",
        Times,
        "memory/jobs.py",
        "self._ready(job, now)\n        return",
        "self._ready(job, job.place)\n        return",
    ),
    Mutant(
        "run-at-past",
        "A time that has passed is a place before those that were there.",
        Times,
        "memory/jobs.py",
        "max(now + push.delay, push.run_at or 0)",
        "push.run_at or now + push.delay",
    ),
    Mutant(
        "page-skips",
        "A page's cursor is one too far.",
        Listing,
        "memory/jobs.py",
        "last + 1)",
        "last + 2)",
    ),
    Mutant(
        "due-is-scheduled",
        "A job whose time has just come is still listed as scheduled.",
        Listing,
        "memory/job.py",
        "self.place > now else",
        "self.place >= now else",
    ),
    Mutant(
        "counts-calls",
        "Running jobs are counted by the calls that hold them.",
        Looking,
        "memory/jobs.py",
        "running=len(self._orders[State.RUNNING])",
        "running=len(self._calls)",
    ),
    Mutant(
        "get-in-any-order",
        "`get` answers only for what it finds.",
        Looking,
        "memory/backend.py",
        "[jobs.get(id, now) for id in ids]",
        "[jobs.get(id, now) for id in ids if id in jobs._jobs]",
    ),
    Mutant(
        "destroy-remembers",
        "Destroying a queue leaves the ids that it remembers.",
        Closing,
        "memory/backend.py",
        "            self.store.queues.pop(queue, None)\n",
        "            jobs = self.store.queues.pop(queue, Jobs())\n"
        "            self.store.queues[queue] = Jobs()\n"
        "            self.store.queues[queue]._remembered = jobs._remembered\n",
    ),
]
