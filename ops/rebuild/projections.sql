-- A second generation of the projections, next to the live one in public: schema generation_next, or generation_previous.

-- name: begun
SELECT to_regclass($1) IS NOT NULL;

-- name: indexes
-- Every index of a live table, with what makes it.
SELECT i.relname AS name, x.indisprimary AS is_primary, pg_get_indexdef(x.indexrelid) AS definition
FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid
WHERE x.indrelid = $1::regclass
ORDER BY i.relname;

-- name: grants
-- The rights on a live table, as SQL for the table of the other generation, $2. Without rights on columns.
SELECT format('GRANT %s ON %s TO %s', a.privilege_type, $2::text,
              CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END)
FROM pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
WHERE c.oid = $1::regclass AND a.grantee <> c.relowner;

-- name: unlike_live
-- Columns of these tables that a generation and the live one do not have in common, in name and type.
SELECT table_name, column_name
FROM information_schema.columns
WHERE table_schema IN ('public', $1) AND table_name = ANY ($2::text[])
GROUP BY table_name, column_name, data_type
HAVING count(*) < 2
ORDER BY table_name, column_name
LIMIT 1;

-- name: live_positions
SELECT partition, "offset", "index", next_offset, log_time
FROM public.projection_positions WHERE consumer = 'projections' ORDER BY partition;

-- name: hold_live
-- The live projection waits while this transaction compares and swaps.
SELECT partition, "offset", "index", next_offset, log_time
FROM public.projection_positions WHERE consumer = 'projections' ORDER BY partition FOR UPDATE;

-- name: key_columns
-- A table's primary key, in its order.
SELECT a.attname
FROM pg_index AS x
CROSS JOIN LATERAL unnest(x.indkey) WITH ORDINALITY AS k (number, place)
JOIN pg_attribute AS a ON a.attrelid = x.indrelid AND a.attnum = k.number
WHERE x.indrelid = $1::regclass AND x.indisprimary
ORDER BY k.place;

-- name: written_columns
-- A table's columns without those that PostgreSQL makes of the others, in their order.
SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum)
FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '';

-- name: make_scope
-- The start from which events are rebuilt ('': all of them), as given when the build began.
CREATE TABLE generation_next.scope (since text NOT NULL);

-- name: make_made_anew
CREATE TABLE generation_next.made_anew (event_id text PRIMARY KEY);

-- name: scope
SELECT since FROM generation_next.scope;

-- name: put_scope
INSERT INTO generation_next.scope VALUES ($1);

-- name: put_made_anew
INSERT INTO generation_next.made_anew SELECT unnest($1::text[]);

-- name: made_anew
SELECT event_id FROM generation_next.made_anew;

-- name: begin_live
-- Where the live projection goes on, unless it has begun by itself.
INSERT INTO public.projection_positions AS p (consumer, partition, "offset", "index", next_offset, log_time)
VALUES ('projections', $1, $2, $3, $4, $5)
ON CONFLICT (consumer, partition) DO UPDATE
SET "offset" = excluded."offset", "index" = excluded."index", next_offset = excluded.next_offset,
    log_time = excluded.log_time
WHERE p."offset" < 0
RETURNING partition + 1;
