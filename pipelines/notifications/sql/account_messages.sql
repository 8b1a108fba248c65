-- Messages about accounts, on their way to notifications.outbound.

-- name: direct_messages
-- Held until the transaction ends. Another process takes others meanwhile. What is set aside waits for an operator.
SELECT id, user_id::text, kind, data::text, (extract(epoch FROM created_at) * 1000000)::bigint AS created_us
FROM direct_messages WHERE set_aside = '' ORDER BY id LIMIT $1::bigint FOR UPDATE SKIP LOCKED;

-- name: direct_messages_sent
-- The broker has them.
DELETE FROM direct_messages WHERE id = ANY ($1::bigint[]);

-- name: direct_message_set_aside
-- $2: why no message can be made of it.
UPDATE direct_messages SET set_aside = $2::text WHERE id = $1::bigint;
