-- diagnose, its look at the migrations: the steps that were taken.
--
-- No parameters. Gives a row each: number, name. Locks nothing.
SELECT number, name FROM {schema}.migrations ORDER BY number
