-- What waits to leave: messages for the export, mails, webhook calls.

-- name: outbox
-- Messages that are not exported, up to $1 of them; and when the fact of the oldest was decided, microseconds.
SELECT (SELECT count(*) FROM (SELECT FROM notification_exports LIMIT $1::bigint) AS waiting) AS messages,
       (SELECT created_at FROM notification_exports ORDER BY id LIMIT 1) AS since;

-- name: deliveries
-- Pending mails (also those about accounts) and webhook calls, up to $1 of each table, those that are due first; and when
-- the oldest of them began to wait, microseconds.
SELECT 'mail' AS channel, count(*) AS waiting, min(since) AS since
FROM (
    (SELECT created_at AS since FROM mail_deliveries WHERE status = 'pending' ORDER BY due_at LIMIT $1::bigint)
    UNION ALL
    (SELECT (extract(epoch FROM created_at) * 1000000)::bigint FROM account_mails
     WHERE status = 'pending' ORDER BY due_at LIMIT $1::bigint)
) AS mails
UNION ALL
SELECT 'webhook', count(*), min(since)
FROM (
    SELECT (extract(epoch FROM created_at) * 1000000)::bigint AS since FROM webhook_deliveries
    WHERE status = 'pending' LIMIT $1::bigint
) AS calls;
