-- diagnose: what the server tells of itself, of this schema's tables, and of what this user may do.
--
-- No parameters. Gives one row, one JSON object. Reads catalogs and statistics; locks nothing. Works without the schema.
WITH relation (name, oid) AS (  -- by the catalog, as to_regclass fails without USAGE on the schema
    SELECT relname, oid FROM pg_class WHERE relnamespace = to_regnamespace('{schema}')
),
privilege (object, wanted, granted) AS (
    SELECT 'TABLE {schema}.' || name, wanted, has_table_privilege(oid, wanted)
    FROM relation, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS wanted
    WHERE name IN ('jobs', 'returns', 'sleepers', 'kept', 'uncounted')
    UNION ALL
    -- Not by WHERE: the planner may ask this of tables first, which is an error.
    SELECT 'SEQUENCE {schema}.batches', 'USAGE', CASE name WHEN 'batches' THEN has_sequence_privilege(oid, 'USAGE') END
    FROM relation
    UNION ALL
    SELECT 'SCHEMA {schema}', 'USAGE', has_schema_privilege(to_regnamespace('{schema}'), 'USAGE')
),
-- Of others' sessions, those without the right to see all statistics are shown the bare existence.
oldest AS (
    SELECT pid, application_name, extract(epoch FROM clock_timestamp() - xact_start)::float8 AS seconds
    FROM pg_stat_activity
    WHERE pid <> pg_backend_pid() AND backend_type = 'client backend' AND datname = current_database()
        AND xact_start IS NOT NULL
    ORDER BY xact_start
    LIMIT 1
)
SELECT json_build_object(
    'version', current_setting('server_version'),
    'number', current_setting('server_version_num')::int,
    'pid', pg_backend_pid(),
    'now', extract(epoch FROM clock_timestamp())::float8,
    'fsync', current_setting('fsync')::bool,
    'full_page_writes', current_setting('full_page_writes')::bool,
    'synchronous_commit', current_setting('synchronous_commit'),
    'synchronous_standby_names', current_setting('synchronous_standby_names'),
    'standby', pg_is_in_recovery(),
    'read_only', current_setting('default_transaction_read_only')::bool,
    'sees_all', pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'),
    'replicas', (SELECT count(*) FROM pg_stat_replication),
    'synchronous_replicas', (SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')),
    'connections', (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
    'max_connections',
        current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
    'oldest', (SELECT row_to_json(oldest) FROM oldest),
    'prepared', (
        SELECT extract(epoch FROM clock_timestamp() - min(prepared))::float8 FROM pg_prepared_xacts
        WHERE database = current_database()
    ),
    'slots', (
        SELECT json_agg(slot_name) FROM pg_replication_slots
        WHERE NOT active AND (xmin IS NOT NULL OR catalog_xmin IS NOT NULL)
    ),
    'autovacuum', current_setting('autovacuum')::bool AND NOT EXISTS (
        SELECT FROM pg_class
        WHERE oid = (SELECT oid FROM relation WHERE name = 'jobs') AND 'autovacuum_enabled=false' = ANY (reloptions)
    ),
    'live', coalesce(pg_stat_get_live_tuples((SELECT oid FROM relation WHERE name = 'jobs')), 0),
    'dead', coalesce(pg_stat_get_dead_tuples((SELECT oid FROM relation WHERE name = 'jobs')), 0),
    'made', EXISTS (SELECT FROM relation WHERE name = 'migrations'),
    'may_make', has_database_privilege(current_database(), 'CREATE'),
    'missing', (
        SELECT json_object_agg(object, list)
        FROM (SELECT object, string_agg(wanted, ', ' ORDER BY wanted) AS list FROM privilege WHERE NOT granted GROUP BY object) AS them
    ),
    'triggers', (
        SELECT count(*) FROM pg_trigger
        WHERE tgrelid = (SELECT oid FROM relation WHERE name = 'jobs') AND tgenabled IN ('O', 'A')
            AND tgname IN ('jobs_inserted', 'jobs_deleted', 'jobs_updated', 'jobs_truncated')
    )
)
