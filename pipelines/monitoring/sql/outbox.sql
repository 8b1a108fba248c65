-- The outbox of the export.

-- name: outbox
-- Messages that are not exported, up to $1 of them; and when the fact of the oldest was decided, microseconds.
SELECT (SELECT count(*) FROM (SELECT FROM notification_exports LIMIT $1::bigint) AS waiting) AS messages,
       (SELECT created_at FROM notification_exports ORDER BY id LIMIT 1) AS since;
