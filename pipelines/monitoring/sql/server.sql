-- What PostgreSQL says about itself.

-- name: server
-- Sessions of this database; the age of its oldest transaction; its size; what it has done since its statistics began.
SELECT extract(epoch FROM clock_timestamp())::float8 AS clock,
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
       current_setting('max_connections')::integer AS connections_max,
       coalesce((SELECT max(extract(epoch FROM clock_timestamp() - xact_start)) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()), 0)::float8 AS oldest_transaction_s,
       pg_database_size(current_database()) AS bytes,
       stats.xact_commit AS commits, stats.xact_rollback AS rollbacks, stats.deadlocks AS deadlocks,
       stats.blks_hit AS blocks_cached, stats.blks_read AS blocks_read
FROM pg_stat_database AS stats WHERE stats.datname = current_database();
