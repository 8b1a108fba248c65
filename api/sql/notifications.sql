-- The inbox. All messages of a user are on one partition of notifications.outbound, so the offset orders them.

-- name: notifications_of_user
-- $1 user, $2 unread only, $3 and $4 cursor (offset, 0 for the message of the registration and else 1), $5 limit.
-- Two messages share an offset, 0, only if one of them is the message of the registration, which came first.
SELECT * FROM notifications
WHERE user_id = $1 AND inbox AND deleted_at = 0 AND (NOT $2 OR read_at = 0)
  AND ($3::bigint IS NULL OR (outbound_offset, (partition >= 0)::int::text) < ($3, $4::text))
ORDER BY outbound_offset DESC, partition >= 0 DESC
LIMIT $5;

-- name: notifications_after
-- The live stream: the messages after offset $2 and partition $3, the oldest first. Two share an offset only if one of
-- them is the message of the registration, which came first and is on a partition beyond all others.
SELECT * FROM notifications
WHERE user_id = $1 AND stream AND deleted_at = 0
  AND outbound_offset >= $2 AND (outbound_offset > $2 OR outbound_partition < $3)
ORDER BY outbound_offset, outbound_partition DESC
LIMIT $4;

-- name: notifications_last
SELECT outbound_offset, outbound_partition FROM notifications WHERE user_id = $1
ORDER BY outbound_offset DESC, outbound_partition LIMIT 1;

-- name: notifications_unread
SELECT count(*) AS unread FROM notifications WHERE user_id = $1 AND inbox AND read_at = 0 AND deleted_at = 0;

-- name: notification_read
-- The time of the first reading stays.
UPDATE notifications SET read_at = CASE read_at WHEN 0 THEN $4 ELSE read_at END
WHERE user_id = $1 AND outbound_partition = $2 AND outbound_offset = $3 AND deleted_at = 0
RETURNING *;

-- name: notifications_read_all
WITH marked AS (
    UPDATE notifications SET read_at = $2 WHERE user_id = $1 AND inbox AND read_at = 0 AND deleted_at = 0
    RETURNING 1
)
SELECT count(*) AS marked FROM marked;

-- name: notification_delete
UPDATE notifications SET deleted_at = $4
WHERE user_id = $1 AND outbound_partition = $2 AND outbound_offset = $3 AND deleted_at = 0
RETURNING user_id;
