-- Step 3: a function that looks after the triggers on jobs; these wake who waits, whatever program made a job ready.
--
-- The triggers themselves are no step: to make one while others write would have to wait for them, and have all who
-- come later wait as well. Workers call this function now and then, and it makes what is missing when nobody is in its way.

CREATE FUNCTION {schema}.ensure_triggers() RETURNS text
LANGUAGE plpgsql
-- With its owner's rights: workers that may only use the tables call it, and this is all that it does.
SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    -- Once a statement and queue, if someone waits for it and one of its jobs is ready that was not, or sooner than it was.
    body CONSTANT text := $body$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM pg_notify('{channel}', queue) FROM {schema}.sleepers
        WHERE queue IN (SELECT queue FROM fresh WHERE state = 'ready');
    ELSE
        PERFORM pg_notify('{channel}', queue) FROM {schema}.sleepers
        WHERE queue IN (
            SELECT queue FROM fresh WHERE state = 'ready' AND NOT EXISTS (
                SELECT FROM stale
                WHERE stale.queue = fresh.queue AND stale.id = fresh.id
                    AND stale.state = 'ready' AND stale.place <= fresh.place
            )
        );
    END IF;
    RETURN NULL;
END
$body$;
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
            'CREATE %s TRIGGER %I AFTER %s ON {schema}.jobs REFERENCING %s FOR EACH STATEMENT'
            -- The driver's own statements tell who waits by themselves, after their commit.
            ' WHEN (current_setting(''jobcore.quiet'', true) IS DISTINCT FROM ''on'')'
            ' EXECUTE FUNCTION {schema}.tell_ready()',
            CASE WHEN found.oid IS NOT NULL THEN 'OR REPLACE' END, wanted.name, wanted.event, wanted.tables
        )
        FROM (
            VALUES
                ('jobs_inserted', 'INSERT', 4, NULL, 'fresh', 'NEW TABLE AS fresh'),
                ('jobs_updated', 'UPDATE', 16, 'stale', 'fresh', 'OLD TABLE AS stale NEW TABLE AS fresh')
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
    LOCK TABLE {schema}.jobs IN SHARE ROW EXCLUSIVE MODE NOWAIT;
    IF outdated THEN
        EXECUTE format(
            'CREATE OR REPLACE FUNCTION {schema}.tell_ready() RETURNS trigger LANGUAGE plpgsql'
            -- With its owner's rights: who may only insert jobs need not read who waits.
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
    'Makes the triggers that wake workers, as far as they are missing: healthy, mended, or busy (call it again later).';
