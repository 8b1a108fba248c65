-- Rows that the postman has set aside.

-- name: calls
-- Webhook calls that failed with an unexpected error. $1: how many, the latest.
SELECT id, type AS what, event_id, error, created_at FROM webhook_deliveries
WHERE status = 'failed' AND starts_with(error, 'set aside: ')
ORDER BY number DESC LIMIT $1::bigint;

-- name: messages
-- Messages about accounts that nothing could be made of.
SELECT id::text, kind AS what, '' AS event_id, set_aside AS error, created_at FROM direct_messages
WHERE set_aside <> ''
ORDER BY id DESC LIMIT $1::bigint;

-- name: account_mails
-- Mails about accounts that failed with an unexpected error. A time that Python cannot read may be why.
SELECT 'mail-' || id AS id, kind AS what, '' AS event_id, error,
       least(greatest(created_at, timestamptz '0001-01-02'), timestamptz '9999-12-30') AS created_at
FROM account_mails
WHERE status = 'failed' AND starts_with(error, 'set aside: ')
ORDER BY id DESC LIMIT $1::bigint;

-- name: redrive_calls
UPDATE webhook_deliveries SET status = 'pending', attempts = 0, due_at = now(), error = ''
WHERE status = 'failed' AND starts_with(error, 'set aside: ') AND (id = ANY ($1::text[]) OR $2::boolean)
RETURNING id;

-- name: redrive_messages
UPDATE direct_messages SET set_aside = '' WHERE set_aside <> '' AND (id::text = ANY ($1::text[]) OR $2::boolean)
RETURNING id::text;

-- name: redrive_account_mails
UPDATE account_mails SET status = 'pending', attempts = 0, due_at = now(), error = ''
WHERE status = 'failed' AND starts_with(error, 'set aside: ') AND ('mail-' || id = ANY ($1::text[]) OR $2::boolean)
RETURNING 'mail-' || id;
