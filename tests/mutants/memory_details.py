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
        "memory/line.py",
        "> max_bytes",
        ">= max_bytes",
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
        "job.claim.lease_until <= now if of",
        "job.claim.lease_until <= now + 1 if of",
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
        "max_bytes if taken else sys.maxsize",
        "max_bytes",
    ),
    Mutant(
        "empty-claim-noted",
        "A call that was given nothing is noted, and gives nothing for ever.",
        Repeating,
        "memory/jobs.py",
        "        for job in jobs:\n            job.attempt += 1\n",
        "        self._calls[call] = {}\n        for job in jobs:\n            job.attempt += 1\n",
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
        "[*self._lost(of, now)][:limit]",
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
        "                job.lost += 1\n                job.started_at = now\n",
    ),
    Mutant(
        "holder-by-prefix",
        "A dead holder's jobs are those of every holder whose name begins with its name.",
        Reclaiming,
        "memory/jobs.py",
        "job.holder == of",
        "job.holder.startswith(of)",
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
        "        if job.state not in REDRIVABLE:\n"
        "            return Answer.WRONG_STATE\n"
        "        del self._ended[job.state][id]\n",
        "        if job.state not in REDRIVABLE | {State.READY}:\n"
        "            return Answer.WRONG_STATE\n"
        "        self._ended[job.state].pop(id, None)\n",
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
        "for line in self._lines.values())\n        return min((job.place for job in firsts if job), default=None)",
        "for _, line in sorted(self._lines.items(), reverse=True))\n"
        "        return next((job.place for job in firsts if job), None)",
    ),
    Mutant(
        "next-due-when-full",
        "`next_due` does not say that the claim stopped at its limit.",
        NextDue,
        "memory/jobs.py",
        "taken, len(taken) == limit",
        "taken, False",
    ),
    Mutant(
        "extend-from-end",
        "An extension counts from the lease's end.",
        Times,
        "memory/jobs.py",
        "lease_until=now + lease)",
        "lease_until=job.claim.lease_until + lease)",
    ),
    Mutant(
        "started-once",
        "`started_at` stays that of the first run.",
        Times,
        "memory/jobs.py",
        "job.started_at = State.RUNNING, now",
        "job.started_at = State.RUNNING, job.started_at or now",
    ),
    Mutant(
        "redrive-old-place",
        "A redriven job keeps its place.",
        Times,
        "memory/jobs.py",
        "self._wait_anew(job, now, now)\n        return",
        "self._wait_anew(job, job.place, now)\n        return",
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
        "page[limit - 1][0]",
        "page[limit][0]",
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
        "Counts(**Counter(job.view(now).value for job in self._jobs.values()))",
        'Counts(**{**Counter(job.view(now).value for job in self._jobs.values()), "running": len(self._calls)})',
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
