"""Mutants of all drivers that are right while calls come one after another."""

from __future__ import annotations

from typing import Final

from jobcore.conformance.concurrency import Concurrency
from mutants.mutant import Mutant

MUTANTS: Final = [
    Mutant(
        "push-looks-before",
        "A push finds out which ids are new, lets go of the lock, and then stores.",
        Concurrency,
        "memory/backend.py",
        "            return [jobs.push(push, now) for push in pushes]\n",
        "            known = {push.id for push in pushes if push.id in jobs._jobs or push.id in jobs._remembered}\n"
        "        __import__('time').sleep(0.001)\n"
        "        with self._changing(queue) as (jobs, now):\n"
        "            answers = [jobs.push(push, now) for push in pushes]\n"
        "            return [Pushed(one.id, one.id not in known, one.state) for one in answers]\n",
    ),
    Mutant(
        "settle-looks-before",
        "A settlement compares its tokens, lets go of the lock, and then moves the jobs.",
        Concurrency,
        "memory/backend.py",
        "            return [jobs.settle(hold, outcome, keep, now) for hold, outcome in settlements]\n",
        "            running = [hold for hold, _ in settlements if hold.id in jobs._jobs]\n"
        "            current = {hold for hold in running if jobs._jobs[hold.id].is_held(hold)}\n"
        "        __import__('time').sleep(0.001)\n"
        "        with self._changing(queue) as (jobs, now):\n"
        "            for hold, outcome in settlements:\n"
        "                jobs.settle(hold, outcome, keep, now)\n"
        "        return [Answer.DONE if hold in current else Answer.LOST for hold, _ in settlements]\n",
    ),
    Mutant(
        "redrive-looks-before",
        "A redrive looks at states, lets go of the lock, and then moves the jobs.",
        Concurrency,
        "memory/backend.py",
        "            return [jobs.redrive(id, now) for id in ids]\n",
        "            fit = {id for id in ids if id in jobs._jobs and jobs._jobs[id].finished_at}\n"
        "        __import__('time').sleep(0.001)\n"
        "        with self._changing(queue) as (jobs, now):\n"
        "            answers = [jobs.redrive(id, now) for id in ids]\n"
        "        return [Answer.DONE if id in fit else answer for id, answer in zip(ids, answers)]\n",
    ),
    Mutant(
        "push-clears-before",
        "Before ids that are not there are pushed, what might be left of them is removed, in a call of its own.",
        Concurrency,
        "redis/backend.py",
        "        codes = self._followed(",
        "        ids = [push.id for push in pushes]\n"
        "        self.remove(queue, [id for id, entry in zip(ids, self.get(queue, ids)) if entry is None])\n"
        "        codes = self._followed(",
    ),
    Mutant(
        "settle-looks-before",
        "A settlement asks in one call which tokens are current, and moves their jobs in another.",
        Concurrency,
        "redis/backend.py",
        "        rows = [(hold.id, token(hold), *words_of(outcome)) for hold, outcome in settlements]\n",
        "        rows = [(hold.id, token(hold), *words_of(outcome)) for hold, outcome in settlements]\n"
        "        held = self.extend(queue, [hold for hold, _ in settlements], 1)\n"
        '        self._batch("settle", queue, rows, b"%d" % keep.failed, b"%d" % keep.succeeded)\n'
        "        return [Answer.DONE if one is Answer.HELD else one for one in held]\n",
    ),
    Mutant(
        "reclaim-looks-before",
        "A reclaim looks for leases that ran out before it has the lock, and takes them over whatever became of them.",
        Concurrency,
        "sqlite/backend.py",
        "        return self._write(queue, lambda tx: holding.reclaim(tx, limit, lease, holder, call, of))\n",
        "        lapsed = self._look(queue, lambda tx: holding._lapsed(tx, limit, of))\n"
        "        chosen = {'chosen': str(lapsed), 'lease': lease, 'holder': holder, 'call': call}\n"
        "        take = lambda tx: tx.run(holding._RECLAIM, **chosen) and holding._held(tx, call)\n"
        "        return self._write(queue, lambda tx: holding._held(tx, call) or take(tx))\n",
    ),
    Mutant(
        "remove-looks-before",
        "A removal tells what it saw before it had the lock.",
        Concurrency,
        "sqlite/backend.py",
        "        return self._write(queue, lambda tx: moving.remove(tx, ids)) if ids else self._nothing()\n",
        "        seen = self.get(queue, ids)\n"
        "        self._write(queue, lambda tx: moving.remove(tx, ids))\n"
        "        refused = lambda one: Answer.WRONG_STATE if one else Answer.MISSING\n"
        "        return [Answer.DONE if one and one.state != 'running' else refused(one) for one in seen]\n",
    ),
    Mutant(
        "settle-looks-before",
        "A settlement asks in one statement which tokens are current, and moves their jobs in another.",
        Concurrency,
        "postgres/backend.py",
        "        return self._settling.settle(queue, settlements, keep)\n",
        "        held = self.extend(queue, [hold for hold, _ in settlements], 1)\n"
        "        answers = self._settling.settle(queue, settlements, keep)\n"
        "        return [Answer.DONE if one is Answer.HELD else two for one, two in zip(held, answers)]\n",
        slow=True,
    ),
]
