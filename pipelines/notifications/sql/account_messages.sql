-- Messages about accounts, which become mails.

-- name: direct_messages
-- The rows are locked until the transaction ends, so another process takes other rows. Rows that were set aside wait
-- for an operator.
SELECT id, user_id::text, kind, data::text, (extract(epoch FROM created_at) * 1000000)::bigint AS created_us
FROM direct_messages WHERE set_aside = '' ORDER BY id LIMIT $1::bigint FOR UPDATE SKIP LOCKED;

-- name: direct_messages_done
-- Their mails are written in the same transaction.
DELETE FROM direct_messages WHERE id = ANY ($1::bigint[]);

-- name: direct_message_set_aside
-- $2: why the row makes no message.
UPDATE direct_messages SET set_aside = $2::text WHERE id = $1::bigint;
