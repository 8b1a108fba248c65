-- How far messages have left the platform.

-- name: sent_positions
SELECT partition, "offset", "index" FROM sent_positions WHERE partition = ANY ($1::integer[]);

-- name: advance_sent
INSERT INTO sent_positions AS t (partition, "offset", "index")
SELECT * FROM unnest($1::integer[], $2::bigint[], $3::integer[])
ON CONFLICT (partition) DO UPDATE SET "offset" = excluded."offset", "index" = excluded."index"
WHERE (t."offset", t."index") < (excluded."offset", excluded."index");
