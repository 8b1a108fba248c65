-- Facts that operators want applied after a branch had set them aside. The read side carries the requests out.

-- name: redrives_waiting
-- $1: branches, $2: partitions of this process, $3: how many.
SELECT flow, partition, "offset", "index", place FROM fact_redrives
WHERE state = 'waiting' AND flow = ANY ($1::text[]) AND partition = ANY ($2::integer[])
ORDER BY requested_at, partition, "offset", "index" LIMIT $3::bigint;

-- name: lock_redrive
-- No row: another transaction has ended it.
SELECT true FROM fact_redrives
WHERE flow = $1::text AND partition = $2::integer AND "offset" = $3::bigint AND "index" = $4::integer
  AND state = 'waiting'
FOR UPDATE;

-- name: end_redrive
UPDATE fact_redrives SET state = $5::text, error = $6::text, ended_at = now()
WHERE flow = $1::text AND partition = $2::integer AND "offset" = $3::bigint AND "index" = $4::integer
  AND state = 'waiting';
