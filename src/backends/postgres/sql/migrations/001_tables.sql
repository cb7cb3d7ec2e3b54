-- Step 1: the tables. Times are microseconds since the Unix epoch, by the server's clock.

CREATE TABLE {schema}.jobs (
    queue       text COLLATE "C" NOT NULL,
    id          text COLLATE "C" NOT NULL,
    state       text COLLATE "C" NOT NULL CHECK (
        state IN ('ready', 'running', 'succeeded', 'failed', 'timed_out', 'broken', 'remembered')),
    -- The order key. The rank is the priority negated, so that all three ascend.
    rank        smallint NOT NULL,
    place       bigint NOT NULL,            -- of a remembered id: when it is forgotten
    seq         bigint NOT NULL,
    attempt     integer NOT NULL DEFAULT 0,
    lost        integer NOT NULL DEFAULT 0,
    remember    bigint NOT NULL DEFAULT 0,  -- seconds
    pushed_at   bigint NOT NULL,
    started_at  bigint,
    -- The token: a call while the job runs, else null; the fence stays and only rises.
    call        bytea,
    fence       bigint NOT NULL DEFAULT 0,
    holder      text COLLATE "C",
    lease_until bigint,
    lapsed_at   bigint,
    finished_at bigint,
    settled     bigint,                     -- the order of settling
    reason      text,
    value       bytea,
    payload     bytea NOT NULL,
    -- One index knows all ids, remembered ones too: that makes a push idempotent under concurrency.
    PRIMARY KEY (queue, id)
) WITH (
    -- Nearly every row is updated once and deleted soon; room in its page keeps the new version near.
    fillfactor = 80,
    -- A queue turns over many times its size: vacuum by what has died, not by a share of what is there.
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0.05,
    autovacuum_analyze_threshold = 5000
);

-- What claims read: one rank after the other, each from its first place.
CREATE INDEX jobs_ready ON {schema}.jobs (queue, rank, place, seq) WHERE state = 'ready';
-- What a repeated claim reads.
CREATE INDEX jobs_call ON {schema}.jobs (call) WHERE call IS NOT NULL;
-- What monitors read.
CREATE INDEX jobs_lease ON {schema}.jobs (queue, lease_until) WHERE state = 'running';
-- What caps and listings read, newest first.
CREATE INDEX jobs_settled ON {schema}.jobs (queue, state, settled)
    WHERE state IN ('succeeded', 'failed', 'timed_out', 'broken');
-- What forgetting reads.
CREATE INDEX jobs_remembered ON {schema}.jobs (queue, place) WHERE state = 'remembered';

-- Numbers batches; a job's seq is its batch's number and its position in the batch.
CREATE SEQUENCE {schema}.batches;

-- Jobs that went back to their old place lately: clients that claim start where they last found one,
-- and learn here that something lies before that. n rises in the order of commits within a queue.
CREATE TABLE {schema}.returns (
    queue text COLLATE "C" NOT NULL,
    n     bigint GENERATED ALWAYS AS IDENTITY,
    rank  smallint NOT NULL,
    place bigint NOT NULL,
    at    bigint NOT NULL,
    PRIMARY KEY (queue, n)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);

-- Queues that someone waits for: whoever pushes to one of these notifies, and takes the row away.
CREATE TABLE {schema}.sleepers (
    queue text COLLATE "C" PRIMARY KEY
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);

-- How many finished jobs each queue keeps, so that a cap holds without counting them at each settlement.
CREATE TABLE {schema}.kept (
    queue text COLLATE "C" NOT NULL,
    cap   text COLLATE "C" NOT NULL CHECK (cap IN ('succeeded', 'failed')),  -- which: failed is TIMED_OUT as well
    jobs  bigint NOT NULL,
    PRIMARY KEY (queue, cap)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0);

-- By how many more, or fewer, a queue keeps than kept says. A row for each statement, and no key: who changes jobs waits
-- for nobody here, and nobody for them. A settlement that trims adds these to kept, and takes them away.
CREATE TABLE {schema}.uncounted (
    queue text COLLATE "C" NOT NULL,
    cap   text COLLATE "C" NOT NULL,
    jobs  bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX uncounted_cap ON {schema}.uncounted (queue, cap);
