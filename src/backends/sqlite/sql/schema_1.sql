-- schema, version 1: what jobcore keeps in a database file, beside whatever else is in it.
--
-- Times are µs since the Unix epoch.

-- The number of the last of these steps that was taken, in one row.
CREATE TABLE jobcore_schema (version INTEGER NOT NULL);

-- All queues' jobs. `n` is the last part of the order key (priority, place, n): it is the largest in the table
-- whenever a job gets a new place or is settled, so that ties are in the order of pushing, and finished jobs in
-- the order of settling. What only a running job has is null in all others: a token's `call` then fits none.
CREATE TABLE jobcore_jobs (
    n INTEGER PRIMARY KEY,
    queue TEXT NOT NULL,
    id TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('ready', 'running', 'succeeded', 'failed', 'timed_out', 'broken')),
    priority INTEGER NOT NULL,
    place INTEGER NOT NULL,
    pushed_at INTEGER NOT NULL,
    remember INTEGER NOT NULL,  -- seconds for which the id is remembered once the job has left
    attempt INTEGER NOT NULL DEFAULT 0,
    lost INTEGER NOT NULL DEFAULT 0,
    fence INTEGER NOT NULL DEFAULT 0,
    call BLOB,
    holder TEXT,
    started_at INTEGER,
    lease_until INTEGER,
    lapsed_at INTEGER,
    finished_at INTEGER,
    reason TEXT,
    value BLOB,
    payload BLOB NOT NULL  -- the last, so that no other column is read past it
);

-- Each index serves one question; n ends them all, as it does every index of SQLite. What a partial index asks for is
-- among its columns: only then can a question be answered from the index alone.
CREATE UNIQUE INDEX jobcore_id ON jobcore_jobs (queue, id);
CREATE INDEX jobcore_ready ON jobcore_jobs (queue, state, priority DESC, place) WHERE state = 'ready';
CREATE INDEX jobcore_running ON jobcore_jobs (queue, call) WHERE call IS NOT NULL;
CREATE INDEX jobcore_finished ON jobcore_jobs (queue, state) WHERE state NOT IN ('ready', 'running');

-- How many finished jobs there are, kept right by the table itself: caps hold without counting.
CREATE TABLE jobcore_finished_jobs (
    queue TEXT NOT NULL,
    state TEXT NOT NULL,
    jobs INTEGER NOT NULL,
    PRIMARY KEY (queue, state)
) WITHOUT ROWID;
CREATE TRIGGER jobcore_finish AFTER UPDATE OF state ON jobcore_jobs WHEN NEW.state NOT IN ('ready', 'running')
BEGIN
    INSERT INTO jobcore_finished_jobs (queue, state, jobs) VALUES (NEW.queue, NEW.state, 1)
    ON CONFLICT (queue, state) DO UPDATE SET jobs = jobs + 1;
END;
CREATE TRIGGER jobcore_redrive AFTER UPDATE OF state ON jobcore_jobs WHEN OLD.state NOT IN ('ready', 'running')
BEGIN
    UPDATE jobcore_finished_jobs SET jobs = jobs - 1 WHERE queue = OLD.queue AND state = OLD.state;
END;
CREATE TRIGGER jobcore_leave AFTER DELETE ON jobcore_jobs WHEN OLD.state NOT IN ('ready', 'running')
BEGIN
    UPDATE jobcore_finished_jobs SET jobs = jobs - 1 WHERE queue = OLD.queue AND state = OLD.state;
END;

-- Ids that users chose, whose jobs have left the store.
CREATE TABLE jobcore_remembered (
    queue TEXT NOT NULL,
    id TEXT NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (queue, id)
) WITHOUT ROWID;
CREATE INDEX jobcore_until ON jobcore_remembered (until);
