-- Step 4: a view to read all jobs by.

-- What a payload says, or null if it is no JSON that jsonb can hold. An exception is the only way to ask before
-- PostgreSQL 16, and as it takes a subtransaction, this is not parallel safe. Not volatile, it is called only where
-- what it gives is asked for.
CREATE FUNCTION {schema}.decoded(payload bytea) RETURNS jsonb
LANGUAGE plpgsql STABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    RETURN convert_from(payload, 'UTF8')::jsonb;
EXCEPTION WHEN data_exception OR program_limit_exceeded OR feature_not_supported THEN
    RETURN NULL;
END
$function$;

COMMENT ON FUNCTION {schema}.decoded IS 'A payload or value as jsonb; null if it is no JSON.';

CREATE VIEW {schema}.all_jobs AS
SELECT
    queue,
    id,
    CASE
        WHEN state = 'ready' AND place > extract(epoch FROM statement_timestamp()) * 1000000 THEN 'scheduled'
        ELSE state
    END AS state,
    -- As IHP.Job.Queue calls it.
    CASE
        WHEN state = 'ready' AND attempt > 0 THEN 'retry'
        WHEN state = 'ready' THEN 'not_started'
        WHEN state = 'broken' THEN 'failed'
        ELSE state
    END AS status,
    {schema}.decoded(payload) ->> 'job' AS job,
    {schema}.decoded(payload) -> 'args' AS args,
    -rank AS priority,
    attempt,
    lost,
    to_timestamp(place / 1000000.0) AS due_at,
    to_timestamp(pushed_at / 1000000.0) AS pushed_at,
    to_timestamp(started_at / 1000000.0) AS started_at,
    to_timestamp(lease_until / 1000000.0) AS lease_until,
    to_timestamp(finished_at / 1000000.0) AS finished_at,
    holder,
    reason,
    {schema}.decoded(value) AS value,
    payload
FROM {schema}.jobs
WHERE state <> 'remembered';

COMMENT ON VIEW {schema}.all_jobs IS 'All jobs: what they are, where they stand, and when.';
