-- Step 5: how many finished jobs each queue keeps, so that a cap holds without counting them at each settlement.

CREATE TABLE {schema}.kept (
    queue text COLLATE "C" NOT NULL,
    cap   text COLLATE "C" NOT NULL CHECK (cap IN ('succeeded', 'failed')),  -- which: failed is TIMED_OUT as well
    jobs  bigint NOT NULL,
    PRIMARY KEY (queue, cap)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0);

INSERT INTO {schema}.kept (queue, cap, jobs)
SELECT queue, CASE state WHEN 'succeeded' THEN 'succeeded' ELSE 'failed' END, count(*)
FROM {schema}.jobs
WHERE state IN ('succeeded', 'failed', 'timed_out')
GROUP BY 1, 2;
