-- Messages about accounts, on their way to notifications.outbound.

-- name: take_direct_messages
-- Gone when the transaction commits, which is after the broker has them. Another process takes others meanwhile.
DELETE FROM direct_messages WHERE id IN (
    SELECT id FROM direct_messages ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED
)
RETURNING id, user_id::text, kind, data::text, (extract(epoch FROM created_at) * 1000000)::bigint AS created_us;
