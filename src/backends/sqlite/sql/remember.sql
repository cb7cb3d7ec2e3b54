-- remember: keep the id of a job that left the store.
--
-- Parameters: queue, id, until.
INSERT INTO jobcore_remembered (queue, id, until) VALUES (:queue, :id, :until)
ON CONFLICT (queue, id) DO UPDATE SET until = excluded.until
