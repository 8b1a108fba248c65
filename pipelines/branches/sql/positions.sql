-- The positions of the branches. One batch is one transaction: lock_positions, the rows, advance_positions.

-- name: adopt_positions
-- A row for each branch and partition, which later batches lock.
INSERT INTO projection_positions (consumer, partition, "offset", "index", next_offset, log_time)
SELECT c.consumer, p.partition, -1, -1, -1, 0
FROM unnest($1::text[]) AS c (consumer), unnest($2::integer[]) AS p (partition)
ON CONFLICT (consumer, partition) DO NOTHING;

-- name: lock_positions
-- A process that writes a partition locks its position rows until the commit. So a paused process that has lost the
-- partition finds a later position, and stops without writing its batch.
SELECT consumer, partition, "offset", "index", next_offset, log_time
FROM projection_positions
WHERE consumer = ANY ($1::text[]) AND partition = ANY ($2::integer[])
ORDER BY consumer, partition
FOR UPDATE;

-- name: advance_positions
-- A position only moves forward.
UPDATE projection_positions AS t
SET "offset" = c."offset", "index" = c."index", next_offset = c.next_offset, log_time = c.log_time
FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::integer[], $5::bigint[], $6::bigint[])
    AS c (consumer, partition, "offset", "index", next_offset, log_time)
WHERE t.consumer = c.consumer AND t.partition = c.partition
  AND (t."offset", t."index", t.next_offset) < (c."offset", c."index", c.next_offset);
