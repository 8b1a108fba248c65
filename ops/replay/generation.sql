-- A second generation of the projections: schema generation_next, beside the live one in public.

-- name: begun
SELECT to_regclass('generation_next.projection_positions') IS NOT NULL;

-- name: indexes
-- Every index of a live table, with what makes it.
SELECT i.relname AS name, x.indisprimary AS is_primary, pg_get_indexdef(x.indexrelid) AS definition
FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid
WHERE x.indrelid = $1::regclass
ORDER BY i.relname;

-- name: live_positions
SELECT partition, "offset", "index", next_offset, log_time
FROM public.projection_positions WHERE consumer = 'projections' ORDER BY partition;

-- name: hold_live
-- The live projection waits while this transaction compares and swaps.
SELECT partition, "offset", "index", next_offset, log_time
FROM public.projection_positions WHERE consumer = 'projections' ORDER BY partition FOR UPDATE;
