-- The position of the inbox on notifications.outbound, as releases until 0.2 kept it.

-- name: stored
SELECT partition, next_offset FROM projection_positions WHERE consumer = 'inbox';

-- name: delivered
INSERT INTO projection_positions AS t (consumer, partition, "offset", "index", next_offset, log_time)
VALUES ('inbox', $1::integer, $2::bigint - 1, 0, $2::bigint, 0)
ON CONFLICT (consumer, partition) DO UPDATE
SET "offset" = excluded."offset", next_offset = excluded.next_offset
WHERE t.next_offset < excluded.next_offset;
