"""Mutants of the PostgreSQL driver: bugs in its statements."""

from __future__ import annotations

from typing import Final

from jobcore.conformance.details_arguments import Closing
from jobcore.conformance.details_claims import Attempts, Claiming, Reclaiming, Repeating
from jobcore.conformance.details_listing import Listing
from jobcore.conformance.details_time import NextDue, Times
from jobcore.conformance.laws_apart import Law10Apart, Law11PerItem
from jobcore.conformance.laws_holding import Law3OneHolder, Law4Fenced
from jobcore.conformance.laws_keeping import Law8Bytes, Law9Caps
from jobcore.conformance.laws_order import Law6Ordered
from jobcore.conformance.laws_prompt import Law13Prompt
from jobcore.conformance.laws_storing import Law5Idempotent
from mutants.mutant import Mutant

MUTANTS: Final = [
    Mutant(
        "claim-not-atomic",
        "Claims at once take the same jobs, as nothing locks them between look and update.",
        Law3OneHolder,
        "postgres/sql/claim.sql",
        "ORDER BY place, seq LIMIT %(jobs)s FOR UPDATE SKIP LOCKED",
        "ORDER BY place, seq LIMIT %(jobs)s",
    ),
    Mutant(
        "settle-by-call",
        "Of a token, only the call is compared.",
        Law4Fenced,
        "postgres/sql/settle.sql",
        "job.call IS NOT DISTINCT FROM asked.call AND job.fence = asked.fence\n"
        "    RETURNING asked.position, move, rank, place",
        "job.call IS NOT DISTINCT FROM asked.call\n    RETURNING asked.position, move, rank, place",
        slow=True,
    ),
    Mutant(
        "extend-tells-by-id",
        "An extension says of any token that it is held, if the job of its id runs.",
        Law4Fenced,
        "postgres/sql/extend.sql",
        " AND call IS NOT DISTINCT FROM asked.call AND fence = asked.fence\n) AS current",
        " AND state = 'running'\n) AS current",
        slow=True,
    ),
    Mutant(
        "fence-is-clock",
        "The fence is the clock alone: two claims within a microsecond share it.",
        Law4Fenced,
        "postgres/sql/claim.sql",
        "fence = greatest(job.fence + 1, clock.fence)",
        "fence = clock.now",
        slow=True,
    ),
    Mutant(
        "remember-none",
        "An id that is only remembered can be pushed at once.",
        Law5Idempotent,
        "postgres/sql/push.sql",
        "    WHERE known.state = 'remembered' AND known.place <= excluded.pushed_at\n",
        "    WHERE known.state = 'remembered'\n",
    ),
    Mutant(
        "push-overwrites",
        "Pushing an id whose job succeeded stores it anew.",
        Law5Idempotent,
        "postgres/sql/push.sql",
        "    WHERE known.state = 'remembered' AND",
        "    WHERE known.state = 'succeeded' OR known.state = 'remembered' AND",
        slow=True,
    ),
    Mutant(
        "claim-early",
        "A scheduled job is let out one tick early.",
        Law6Ordered,
        "postgres/sql/claim.sql",
        "known.seq) AND place <= (SELECT now FROM clock)",
        "known.seq) AND place <= (SELECT now + 1 FROM clock)",
        slow=True,
    ),
    Mutant(
        "priority-as-text",
        "Priorities are compared as text.",
        Law6Ordered,
        "postgres/sql/claim.sql",
        "ORDER BY job.rank LIMIT 1",
        'ORDER BY job.rank::text COLLATE "C" LIMIT 1',
        slow=True,
    ),
    Mutant(
        "returns-untold",
        "What goes back to its old place is not told to those who have looked beyond it.",
        Law6Ordered,
        "postgres/sql/settle.sql",
        "WHERE move = 'return' GROUP BY rank, clock.now",
        "WHERE false GROUP BY rank, clock.now",
        slow=True,
    ),
    Mutant(
        "retry-keeps-seq",
        "A retried job keeps its number, and with it its place among those of one time.",
        Law6Ordered,
        "postgres/sql/settle.sql",
        "seq = CASE WHEN move = 'retry' THEN (SELECT seq FROM batch) + position ELSE seq END",
        "seq = job.seq",
    ),
    Mutant(
        "retry-from-place",
        "A retry's delay counts from the job's place, and not from now.",
        Times,
        "postgres/sql/settle.sql",
        "WHEN move = 'retry' THEN clock.now + delay",
        "WHEN move = 'retry' THEN place + delay",
        slow=True,
    ),
    Mutant(
        "payload-as-text",
        "A payload is decoded, and encoded again.",
        Law8Bytes,
        "postgres/sql/push.sql",
        "    new.remember, clock.now, new.payload\n",
        "    new.remember, clock.now, convert_to(encode(new.payload, 'escape'), 'UTF8')\n",
        slow=True,
    ),
    Mutant(
        "cap-one-more",
        "One more job is kept than the cap says.",
        Law9Caps,
        "postgres/sql/trim_succeeded.sql",
        "OFFSET %(cap)s LIMIT 1",
        "OFFSET %(cap)s + 1 LIMIT 1",
    ),
    Mutant(
        "caps-unlocked",
        "Settlements at once do not wait for each other, and each trims what it sees.",
        Law9Caps,
        "postgres/sql/lock.sql",
        "pg_advisory_xact_lock(hashtextextended",
        "(hashtextextended",
        slow=True,
    ),
    Mutant(
        "destroy-by-prefix",
        "Destroying a queue takes those along whose names begin with its name.",
        Law10Apart,
        "postgres/sql/destroy.sql",
        "DELETE FROM {schema}.jobs WHERE queue = %(queue)s",
        "DELETE FROM {schema}.jobs WHERE starts_with(queue, %(queue)s)",
        slow=True,
    ),
    Mutant(
        "settle-all-or-none",
        "A batch of settlements of which one is refused moves none.",
        Law11PerItem,
        "postgres/sql/settle.sql",
        "    WHERE asked.kept\n        AND",
        "    WHERE asked.kept AND NOT EXISTS (\n"
        "            SELECT FROM asked LEFT JOIN {schema}.jobs AS job USING (queue, id, call) WHERE job.id IS NULL\n"
        "        )\n"
        "        AND",
        slow=True,
    ),
    Mutant(
        "wake-never",
        "Who waits is not woken by what becomes ready, and looks again after a second.",
        Law13Prompt,
        "postgres/sql/wake.sql",
        "DELETE FROM {schema}.sleepers WHERE queue = %(queue)s RETURNING pg_notify('{channel}', queue)",
        "SELECT FROM {schema}.sleepers WHERE queue = %(queue)s",
        slow=True,
    ),
    Mutant(
        "max-bytes-of-others",
        "`max_bytes` counts the payloads before a job, and not its own.",
        Claiming,
        "postgres/sql/claim.sql",
        "OVER (ROWS UNBOUNDED PRECEDING)",
        "OVER (ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)",
        slow=True,
    ),
    Mutant(
        "repeat-claims-more",
        "A repeated claim gives what the first gave, and new jobs.",
        Repeating,
        "postgres/sql/claim.sql",
        "WHERE %(onward)s OR NOT EXISTS (SELECT FROM held)",
        "WHERE true",
        slow=True,
    ),
    Mutant(
        "reclaim-late",
        "A lease that ends now has not run out.",
        Reclaiming,
        "postgres/sql/reclaim.sql",
        "AND lease_until <= CASE",
        "AND lease_until < CASE",
    ),
    Mutant(
        "reclaim-restarts",
        "A reclaim sets `started_at` anew.",
        Reclaiming,
        "postgres/sql/reclaim.sql",
        "lost = lost + 1, holder",
        "lost = lost + 1, started_at = clock.now, holder",
        slow=True,
    ),
    Mutant(
        "return-counts",
        "A returned run counts as an attempt.",
        Attempts,
        "postgres/sql/settle.sql",
        "CASE WHEN move = 'return' THEN attempt - 1 ELSE attempt END",
        "job.attempt",
        slow=True,
    ),
    Mutant(
        "next-due-of-first-band",
        "`next_due` is that of the highest priority.",
        NextDue,
        "postgres/sql/claim.sql",
        "        SELECT min(ahead.place) FROM band",
        "        SELECT (array_agg(ahead.place ORDER BY band.rank))[1] FROM band",
        slow=True,
    ),
    Mutant(
        "page-skips",
        "A page of finished jobs begins one too far.",
        Listing,
        "postgres/sql/peek_settled.sql",
        "settled < %(settled)s",
        "settled < %(settled)s - 1",
        slow=True,
    ),
    Mutant(
        "counts-scheduled",
        "Jobs whose time has just come are counted as scheduled.",
        Listing,
        "postgres/sql/counts.sql",
        "place <= (SELECT now FROM clock)",
        "place < (SELECT now FROM clock)",
        slow=True,
    ),
    Mutant(
        "destroy-remembers",
        "Destroying a queue leaves the ids that it remembers.",
        Closing,
        "postgres/sql/destroy.sql",
        "DELETE FROM {schema}.jobs WHERE queue = %(queue)s",
        "DELETE FROM {schema}.jobs WHERE queue = %(queue)s AND state <> 'remembered'",
        slow=True,
    ),
]
