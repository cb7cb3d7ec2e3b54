-- Step 3: a function that looks after the triggers on jobs: whatever program changes these, they wake who waits for what
-- became ready, and tell of what is kept, so that caps hold by a count that is right.
--
-- The triggers themselves are no step: to make one while others write would have to wait for them, and have all who
-- come later wait as well. Workers call this function now and then, and it makes what is missing when nobody is in its way.

CREATE FUNCTION {schema}.ensure_triggers() RETURNS text
LANGUAGE plpgsql
-- With its owner's rights: workers that may only use the tables call it, and this is all that it does.
SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    body CONSTANT text := $body$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        DELETE FROM {schema}.kept;
        DELETE FROM {schema}.uncounted;
        RETURN NULL;
    END IF;
    -- Once a statement and queue, if someone waits for it and one of its jobs is ready that was not, or sooner than it was.
    IF TG_OP = 'INSERT' THEN
        PERFORM pg_notify('{channel}', queue) FROM {schema}.sleepers
        WHERE queue IN (SELECT queue FROM fresh WHERE state = 'ready');
    ELSIF TG_OP = 'UPDATE' THEN
        PERFORM pg_notify('{channel}', queue) FROM {schema}.sleepers
        WHERE queue IN (
            SELECT queue FROM fresh WHERE state = 'ready' AND NOT EXISTS (
                SELECT FROM stale
                WHERE stale.queue = fresh.queue AND stale.id = fresh.id
                    AND stale.state = 'ready' AND stale.place <= fresh.place
            )
        );
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO {schema}.uncounted (queue, cap, jobs)
        SELECT queue, CASE state WHEN 'succeeded' THEN 'succeeded' ELSE 'failed' END, count(*)
        FROM fresh WHERE state IN ('succeeded', 'failed', 'timed_out') GROUP BY 1, 2;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO {schema}.uncounted (queue, cap, jobs)
        SELECT queue, CASE state WHEN 'succeeded' THEN 'succeeded' ELSE 'failed' END, -count(*)
        FROM stale WHERE state IN ('succeeded', 'failed', 'timed_out') GROUP BY 1, 2;
    END IF;
    RETURN NULL;
END
$body$;
    -- PostgreSQL 13 can't replace a trigger: there it is dropped, which readers are in the way of.
    replaces CONSTANT boolean := current_setting('server_version_num')::integer >= 140000;
    outdated boolean;
    missing text[];
    statement text;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('{schema} triggers', 7061767)) THEN
        RETURN 'busy';
    END IF;
    outdated := NOT EXISTS (SELECT FROM pg_proc WHERE oid = to_regprocedure('{schema}.tell_ready()') AND prosrc = body);
    missing := ARRAY(
        SELECT format(
            '%sCREATE %s TRIGGER %I AFTER %s ON {schema}.jobs %s FOR EACH STATEMENT'
            -- The driver's own statements tell who waits by themselves, after their commit, and count what they change.
            ' WHEN (current_setting(''jobcore.quiet'', true) IS DISTINCT FROM ''on'')'
            ' EXECUTE FUNCTION {schema}.tell_ready()',
            CASE WHEN found.oid IS NOT NULL AND NOT replaces
            THEN format('DROP TRIGGER %I ON {schema}.jobs; ', wanted.name) END,
            CASE WHEN found.oid IS NOT NULL AND replaces THEN 'OR REPLACE' END,
            wanted.name, wanted.event, wanted.tables
        )
        FROM (
            VALUES
                ('jobs_inserted', 'INSERT', 4, NULL, 'fresh', 'REFERENCING NEW TABLE AS fresh'),
                ('jobs_deleted', 'DELETE', 8, 'stale', NULL, 'REFERENCING OLD TABLE AS stale'),
                ('jobs_updated', 'UPDATE', 16, 'stale', 'fresh', 'REFERENCING OLD TABLE AS stale NEW TABLE AS fresh'),
                ('jobs_truncated', 'TRUNCATE', 32, NULL, NULL, NULL)
        ) AS wanted (name, event, type, old, new, tables)
        LEFT JOIN pg_trigger AS found ON found.tgrelid = '{schema}.jobs'::regclass AND found.tgname = wanted.name
        WHERE (found.tgtype, found.tgoldtable, found.tgnewtable, found.tgfoid, found.tgqual IS NULL)
                IS DISTINCT FROM (wanted.type, wanted.old, wanted.new, to_regprocedure('{schema}.tell_ready()'), false)
            OR found.tgenabled NOT IN ('O', 'A')
    );
    IF NOT outdated AND missing = '{}' THEN
        RETURN 'healthy';
    END IF;
    -- At once or not at all: who waited for this lock would hold up all writers that come after. Readers are no matter.
    IF replaces THEN
        LOCK TABLE {schema}.jobs IN SHARE ROW EXCLUSIVE MODE NOWAIT;
    ELSE
        LOCK TABLE {schema}.jobs IN ACCESS EXCLUSIVE MODE NOWAIT;
    END IF;
    IF outdated THEN
        EXECUTE format(
            'CREATE OR REPLACE FUNCTION {schema}.tell_ready() RETURNS trigger LANGUAGE plpgsql'
            -- With its owner's rights: who may only write jobs need not see who waits, or what is kept.
            ' SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS %L',
            body
        );
    END IF;
    FOREACH statement IN ARRAY missing LOOP
        EXECUTE statement;
    END LOOP;
    RETURN 'mended';
EXCEPTION
    WHEN lock_not_available THEN
        RETURN 'busy';
END
$function$;

COMMENT ON FUNCTION {schema}.ensure_triggers IS
    'Makes the triggers that wake workers and count jobs, as far as they are missing: healthy, mended, or busy (call it again later).';
