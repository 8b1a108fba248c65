-- The outbox of the export: messages on their way to notifications.outbound.

-- name: put_exports
INSERT INTO notification_exports (
    user_id, event_id, reservation_id, partition, "offset", "index", kind, channel, template, created_at, data, trace)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::integer[], $5::bigint[], $6::integer[], $7::text[], $8::text[], $9::text[],
    $10::bigint[], $11::text[], $12::text[]);

-- name: exports
-- The rows are locked until the transaction ends, so another process takes other rows.
SELECT * FROM notification_exports ORDER BY id LIMIT $1::bigint FOR UPDATE SKIP LOCKED;

-- name: exported
-- The broker has acknowledged these messages.
DELETE FROM notification_exports WHERE id = ANY ($1::bigint[]);
