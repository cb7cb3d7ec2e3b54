"""Mutants of the Redis driver: bugs in its scripts."""

from __future__ import annotations

from typing import Final

from jobcore.conformance.details_arguments import Closing
from jobcore.conformance.details_claims import Reclaiming, Repeating
from jobcore.conformance.details_listing import Listing
from jobcore.conformance.details_time import NextDue, Times
from jobcore.conformance.laws_apart import Law11PerItem
from jobcore.conformance.laws_holding import Law4Fenced
from jobcore.conformance.laws_keeping import Law9Caps
from jobcore.conformance.laws_order import Law6Ordered
from jobcore.conformance.laws_prompt import Law13Prompt
from jobcore.conformance.laws_storing import Law5Idempotent
from mutants.mutant import Mutant

MUTANTS: Final = [
    Mutant(
        "push-twice",
        "A push whose answer was lost, and which is repeated, is stored twice.",
        Law5Idempotent,
        "redis/lua/push.lua",
        "exec('HSETNX', jobs, id, record) == 0",
        "exec('HSET', jobs, id, record) < 0",
    ),
    Mutant(
        "settle-by-id",
        "A settlement is taken from anyone who knows the id of a running job.",
        Law4Fenced,
        "redis/lua/settle.lua",
        "if hold and hold:sub(1, TOKEN_SIZE) == token and not",
        "if hold and not",
    ),
    Mutant(
        "extend-by-call",
        "Of a token, only the call is compared.",
        Law4Fenced,
        "redis/lua/extend.lua",
        "hold:sub(1, TOKEN_SIZE) == token",
        "hold:sub(1, CALL_SIZE) == token:sub(1, CALL_SIZE)",
        slow=True,
    ),
    Mutant(
        "fence-is-attempt",
        "The fence is the number of the attempt, which a redrive begins anew.",
        Law4Fenced,
        "redis/lua/claim.lua",
        "math.max(fence + 1, now)",
        "attempt + 1",
        slow=True,
    ),
    Mutant(
        "settled-twice",
        "A hold that is named twice in a batch is settled twice.",
        Law11PerItem,
        "redis/lua/settle.lua",
        " and not settled[id]",
        "",
        slow=True,
    ),
    Mutant(
        "batch-of-5000",
        "Of a large batch, only the first 5,000 values are written.",
        Law11PerItem,
        "redis/lua/common.lua",
        "for first = 1, #values, 5000 do\n    exec(command",
        "for first = 1, math.min(#values, 5000), 5000 do\n    exec(command",
        slow=True,
    ),
    Mutant(
        "claim-early",
        "A scheduled job is let out one tick early.",
        Law6Ordered,
        "redis/lua/claim.lua",
        "local due, step = pack('>I7', now + 1), 25",
        "local due, step = pack('>I7', now + 2), 25",
    ),
    Mutant(
        "band-skipped",
        "A claim that has emptied a priority skips the next one.",
        Law6Ordered,
        "redis/lua/claim.lua",
        "char(band:byte() + 1)",
        "char(band:byte() + 2)",
        slow=True,
    ),
    Mutant(
        "return-last",
        "A returned job goes to the back.",
        Law6Ordered,
        "redis/lua/settle.lua",
        "function(job) job.attempt = job.attempt - 1 end",
        "function(job)\n"
        "    job.attempt = job.attempt - 1\n"
        "    job.key = pack(KEY, job.key:byte(), now, exec('INCR', seq))\n"
        "  end",
        slow=True,
    ),
    Mutant(
        "seq-of-batch",
        "All jobs of a batch have one number.",
        Law6Ordered,
        "redis/lua/push.lua",
        "pack(KEY, bands[i], place, order + i)",
        "pack(KEY, bands[i], place, order)",
        slow=True,
    ),
    Mutant(
        "cap-one-less",
        "One job less is kept than the cap says.",
        Law9Caps,
        "redis/lua/settle.lua",
        "local over = -cap\n",
        "local over = 1 - cap\n",
    ),
    Mutant(
        "cap-of-each-state",
        "FAILED and TIMED_OUT have a cap each.",
        Law9Caps,
        "redis/lua/settle.lua",
        "trim(keep_failed, {failed, timed_out})",
        "trim(keep_failed, {failed}) trim(keep_failed, {timed_out})",
        slow=True,
    ),
    Mutant(
        "trim-always",
        "Every settlement trims, whatever it says.",
        Law9Caps,
        "redis/lua/settle.lua",
        "if outcomes.f or outcomes.t then trim",
        "if true then trim",
        slow=True,
    ),
    Mutant(
        "remember-microseconds",
        "The seconds of `remember` are taken for microseconds: ids are forgotten at once.",
        Law5Idempotent,
        "redis/lua/common.lua",
        "now + remember * 1000000",
        "now + remember",
        slow=True,
    ),
    Mutant(
        "destroy-leaves-a-key",
        "Destroying a queue leaves the ids that it remembers.",
        Closing,
        "redis/lua/destroy.lua",
        "holders remembered succeeded",
        "holders succeeded",
        slow=True,
    ),
    Mutant(
        "again-from-another",
        "A repeated claim gives what was taken over, with the token of who took it.",
        Repeating,
        "redis/lua/common.lua",
        "if hold and hold:sub(1, CALL_SIZE) == call then",
        "if hold then",
        slow=True,
    ),
    Mutant(
        "call-counts-down-once",
        "A call whose jobs are settled together is counted down once, and never ends.",
        Repeating,
        "redis/lua/common.lua",
        "gone[call] = (gone[call] or 0) + 1",
        "gone[call] = 1",
        slow=True,
    ),
    Mutant(
        "call-never-ends",
        "A call that has lost its jobs to a reclaim is kept, and gives nothing for ever.",
        Repeating,
        "redis/lua/reclaim.lua",
        "let_go(old)\n",
        "",
        slow=True,
    ),
    Mutant(
        "reclaim-restarts",
        "A reclaim sets `started_at` anew.",
        Reclaiming,
        "redis/lua/reclaim.lua",
        "lost + 1, started_at, rows",
        "lost + 1, now, rows",
        slow=True,
    ),
    Mutant(
        "reclaim-late",
        "A lease that ends now has not run out.",
        Reclaiming,
        "redis/lua/reclaim.lua",
        "'-inf', now, 'WITHSCORES'",
        "'-inf', '(' .. text(now), 'WITHSCORES'",
        slow=True,
    ),
    Mutant(
        "digits-lost",
        "The end of a lease is joined to text as Lua does it, with fourteen digits.",
        Times,
        "redis/lua/claim.lua",
        "now + lease, text(now + lease)",
        "now + lease, tostring(now + lease)",
        slow=True,
    ),
    Mutant(
        "next-due-of-first-band",
        "`next_due` is that of the highest priority.",
        NextDue,
        "redis/lua/common.lua",
        "if member then least = math.min(least or math.huge, place_of(member)) end",
        "if member then least = least or place_of(member) end",
        slow=True,
    ),
    Mutant(
        "page-repeats",
        "A page begins with the job that ended the last one.",
        Listing,
        "redis/lua/peek.lua",
        "'(' .. after .. '\\255'",
        "'[' .. after",
        slow=True,
    ),
    Mutant(
        "wake-one",
        "Of several jobs that become ready together, only the first wakes a waiter.",
        Law13Prompt,
        "redis/lua/common.lua",
        "math.min(count, waiting - exec('LLEN', wakes))",
        "math.min(count, 1 - exec('LLEN', wakes))",
        slow=True,
    ),
    Mutant(
        "wake-never",
        "Who waits is not woken by what becomes ready, and looks again after a second.",
        Law13Prompt,
        "redis/lua/common.lua",
        "  if waiting == 0 then return end\n  if due",
        "  if waiting >= 0 then return end\n  if due",
        slow=True,
    ),
]
