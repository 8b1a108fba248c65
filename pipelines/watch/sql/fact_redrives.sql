-- Requests to apply facts that a branch of the read side had set aside.

-- name: ask_redrives
-- A request that waits, and a fact that is applied, stay as they are. A failed one waits once more.
INSERT INTO fact_redrives AS t (flow, partition, "offset", "index", place, requested_by)
SELECT DISTINCT ON (flow, partition, "offset", "index") c.*, $6::text
FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::integer[], $5::bigint[])
    AS c (flow, partition, "offset", "index", place)
ON CONFLICT (flow, partition, "offset", "index") DO UPDATE SET
    state = 'waiting', place = excluded.place, requested_by = excluded.requested_by,
    requested_at = excluded.requested_at, ended_at = NULL, error = ''
WHERE t.state = 'failed';

-- name: redrives
SELECT t.flow, t.partition, t."offset", t."index", t.state, t.requested_by, t.requested_at, t.ended_at, t.error
FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::integer[]) AS c (flow, partition, "offset", "index")
JOIN fact_redrives AS t USING (flow, partition, "offset", "index");
