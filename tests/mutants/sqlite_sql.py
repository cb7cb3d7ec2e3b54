"""Mutants of the SQLite driver: bugs in its statements."""

from __future__ import annotations

from typing import Final

from jobcore.conformance.details_claims import Attempts, Reclaiming
from jobcore.conformance.laws_apart import Law10Apart
from jobcore.conformance.laws_holding import Law4Fenced
from jobcore.conformance.laws_keeping import Law9Caps
from jobcore.conformance.laws_order import Law6Ordered
from jobcore.conformance.laws_storing import Law5Idempotent
from mutants.mutant import Mutant

MUTANTS: Final = [
    Mutant(
        "settle-by-call",
        "Of a token, only the call is compared.",
        Law4Fenced,
        "sqlite/sql/settle_finish.sql",
        "WHERE queue = :queue AND id = :id AND call = :call AND fence = :fence",
        "WHERE queue = :queue AND id = :id AND call = :call",
    ),
    Mutant(
        "extend-by-id",
        "A lease is extended by anyone who knows the id of a running job.",
        Law4Fenced,
        "sqlite/sql/extend.sql",
        "WHERE queue = :queue AND id = :id AND call = :call AND fence = :fence",
        "WHERE queue = :queue AND id = :id AND state = 'running'",
        slow=True,
    ),
    Mutant(
        "push-overwrites",
        "Pushing an id again replaces the payload of its job.",
        Law5Idempotent,
        "sqlite/sql/push.sql",
        "DO NOTHING",
        "DO UPDATE SET payload = excluded.payload",
    ),
    Mutant(
        "remember-none",
        "Only ids whose time has passed are taken for remembered.",
        Law5Idempotent,
        "sqlite/sql/push.sql",
        "until > :now",
        "until <= :now",
        slow=True,
    ),
    Mutant(
        "remember-once",
        "An id that is remembered, though its time has passed, is not remembered anew.",
        Law5Idempotent,
        "sqlite/sql/remember.sql",
        "DO UPDATE SET until = excluded.until",
        "DO NOTHING",
        slow=True,
    ),
    Mutant(
        "retry-keeps-number",
        "A retried job keeps its number, and with it its place among those of one time.",
        Law6Ordered,
        "sqlite/sql/settle_retry.sql",
        "n = (SELECT max(n) + 1 FROM jobcore_jobs), state",
        "state",
        slow=True,
    ),
    Mutant(
        "claim-early",
        "A scheduled job is let out one tick early.",
        Law6Ordered,
        "sqlite/sql/due.sql",
        "place <= :now",
        "place <= :now + 1",
        slow=True,
    ),
    Mutant(
        "priority-as-text",
        "Priorities are compared as text.",
        Law6Ordered,
        "sqlite/sql/bands.sql",
        "        SELECT max(priority) FROM",
        "        SELECT CAST(max(CAST(priority AS TEXT)) AS INTEGER) FROM",
        slow=True,
    ),
    Mutant(
        "cap-one-less",
        "One job less is kept than the cap says.",
        Law9Caps,
        "sqlite/sql/settle_trim.sql",
        ") - :cap)",
        ") - :cap + 1)",
    ),
    Mutant(
        "cap-drops-newest",
        "A full cap drops the newest.",
        Law9Caps,
        "sqlite/sql/settle_trim.sql",
        "ORDER BY n LIMIT",
        "ORDER BY n DESC LIMIT",
        slow=True,
    ),
    Mutant(
        "destroy-forgets-all",
        "Destroying a queue forgets the ids of all queues.",
        Law10Apart,
        "sqlite/sql/destroy_remembered.sql",
        "WHERE queue = :queue",
        "WHERE :queue <> ''",
        slow=True,
    ),
    Mutant(
        "reclaim-says-now",
        "A reclaim tells its own time as that at which the lease ended.",
        Reclaiming,
        "sqlite/sql/reclaim.sql",
        "lapsed_at = lease_until",
        "lapsed_at = :now",
        slow=True,
    ),
    Mutant(
        "redrive-keeps-losses",
        "A redriven job keeps count of its lost leases.",
        Attempts,
        "sqlite/sql/redrive.sql",
        "attempt = 0, lost = 0",
        "attempt = 0",
        slow=True,
    ),
]
