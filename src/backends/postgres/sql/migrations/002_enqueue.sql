-- Step 2: a function that enqueues, for psql, triggers and other languages, in their own transactions.

CREATE FUNCTION {schema}.enqueue(
    queue text, job text, args jsonb DEFAULT '{}',
    delay interval DEFAULT '0', priority integer DEFAULT 0, id text DEFAULT NULL, remember integer DEFAULT 86400
) RETURNS text
LANGUAGE plpgsql
-- With its owner's rights: whoever may enqueue need not be one who may write the table. Names in the body are this
-- schema's and PostgreSQL's own, whoever calls.
SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
    new_id CONSTANT text := coalesce(enqueue.id, gen_random_uuid()::text);
    -- Before the clock is read: no place is older than its transaction. Claims pass over what is older than all that are
    -- open, and a call that waits for another one with its id must not come in there.
    own CONSTANT xid8 := pg_current_xact_id();
    now_us CONSTANT bigint := extract(epoch FROM clock_timestamp()) * 1000000;
    delay_us CONSTANT bigint := extract(epoch FROM enqueue.delay) * 1000000;
BEGIN
    IF enqueue.queue IS NULL OR enqueue.queue !~ '^[A-Za-z0-9._-]{1,200}$' THEN
        RAISE invalid_parameter_value USING MESSAGE = 'a queue''s name is 1 to 200 of A-Z a-z 0-9 . _ -';
    ELSIF octet_length(new_id) NOT BETWEEN 1 AND 200 OR new_id ~ '[\u0001-\u001f\u007f-\u009f]' THEN
        RAISE invalid_parameter_value USING MESSAGE = 'an id is 1 to 200 bytes without control characters';
    ELSIF enqueue.job IS NULL OR jsonb_typeof(enqueue.args) IS DISTINCT FROM 'object' THEN
        RAISE invalid_parameter_value USING MESSAGE = 'a job has a name, and its args are a JSON object';
    ELSIF enqueue.priority NOT BETWEEN -100 AND 100 OR delay_us < 0 OR enqueue.remember < 0 THEN
        RAISE invalid_parameter_value USING MESSAGE = 'priority is -100 to 100, delay and remember are not negative';
    END IF;
    LOOP
        -- A job of this id is left alone: locked until the caller's transaction ends, workers would pass it over.
        INSERT INTO {schema}.jobs (queue, id, state, rank, place, seq, remember, pushed_at, payload)
        VALUES (
            enqueue.queue, new_id, 'ready', -enqueue.priority, now_us + delay_us, nextval('{schema}.batches') << 17,
            CASE WHEN enqueue.id IS NULL THEN 0 ELSE enqueue.remember END, now_us,
            convert_to(jsonb_build_object('job', enqueue.job, 'args', enqueue.args)::text, 'UTF8')
        )
        ON CONFLICT (queue, id) DO NOTHING;
        EXIT WHEN FOUND;
        -- An id whose time of remembrance has passed is forgotten here, and as good as new.
        DELETE FROM {schema}.jobs AS known
        WHERE known.queue = enqueue.queue AND known.id = new_id AND known.state = 'remembered' AND known.place <= now_us;
        CONTINUE WHEN FOUND;
        IF EXISTS (SELECT FROM {schema}.jobs AS known WHERE known.queue = enqueue.queue AND known.id = new_id) THEN
            RETURN new_id;
        END IF;
    END LOOP;
    IF EXISTS (SELECT FROM {schema}.sleepers AS asleep WHERE asleep.queue = enqueue.queue) THEN
        PERFORM pg_notify('{channel}', enqueue.queue);
    END IF;
    RETURN new_id;
END
$function$;

COMMENT ON FUNCTION {schema}.enqueue IS 'Enqueues a job, and gives its id; an id that is known already stores nothing.';
REVOKE EXECUTE ON FUNCTION {schema}.enqueue FROM PUBLIC;
