-- Channels: users' preferences, and webhooks of organizers.

-- name: preferences_of_user
SELECT kind, inbox, stream, mail FROM notification_preferences WHERE user_id = $1;

-- name: preferences_put
-- Null leaves a channel as it is.
INSERT INTO notification_preferences AS t (user_id, kind, inbox, stream, mail)
SELECT $1::uuid, kind, inbox, stream, mail
FROM unnest($2::text[], $3::boolean[], $4::boolean[], $5::boolean[]) AS c (kind, inbox, stream, mail)
ON CONFLICT (user_id, kind) DO UPDATE SET
    inbox = COALESCE(excluded.inbox, t.inbox), stream = COALESCE(excluded.stream, t.stream),
    mail = COALESCE(excluded.mail, t.mail), updated_at = now()
RETURNING kind;

-- name: webhooks
-- $2 and $3: the cursor.
SELECT id::text, url, event_id, types, enabled, disabled_why, created_at,
       (extract(epoch FROM created_at) * 1000000)::bigint AS made_us
FROM webhook_endpoints
WHERE owner = $1 AND ($2::bigint IS NULL
    OR ((extract(epoch FROM created_at) * 1000000)::bigint, id::text) < ($2, $3::text))
ORDER BY made_us DESC, id::text DESC
LIMIT $4;

-- name: webhook
SELECT id::text, url, event_id, types, enabled, disabled_why, created_at
FROM webhook_endpoints WHERE id = $1 AND owner = $2;

-- name: webhook_add
-- $7: how many an organizer may have. The account's row is locked, so that two concurrent requests count one by one.
WITH account AS (
    SELECT id FROM users WHERE id = $2 FOR UPDATE
)
INSERT INTO webhook_endpoints (id, organizer_id, url, event_id, types, secret)
SELECT $1, account.id, $3, $4, $5::text[], $6 FROM account
WHERE (SELECT count(*) FROM webhook_endpoints WHERE organizer_id = $2) < $7::bigint
RETURNING id::text, url, event_id, types, enabled, disabled_why, created_at;

-- name: webhook_update
-- Null leaves a column as it is.
UPDATE webhook_endpoints
SET url = COALESCE($3, url), types = COALESCE($4::text[], types), enabled = COALESCE($5, enabled),
    disabled_why = CASE WHEN $5 THEN '' WHEN NOT $5 THEN 'by its organizer' ELSE disabled_why END
WHERE id = $1 AND owner = $2
RETURNING id::text, url, event_id, types, enabled, disabled_why, created_at;

-- name: webhook_rotate
-- The current secret stays valid for $4 seconds; an older one does not.
UPDATE webhook_endpoints
SET former_secret = secret, former_until = now() + make_interval(secs => $4), secret = $3
WHERE id = $1 AND owner = $2
RETURNING id::text, url, event_id, types, enabled, disabled_why, created_at;

-- name: webhook_delete
DELETE FROM webhook_endpoints WHERE id = $1 AND owner = $2 RETURNING id::text;

-- name: webhook_test
INSERT INTO webhook_deliveries (id, endpoint_id, partition, "offset", "index", event_id, type, payload)
VALUES ($1, $2, -1, $3, 0, '', $4, $5)
RETURNING *;

-- name: webhook_deliveries
-- $2: only this status; $3: the cursor.
SELECT * FROM webhook_deliveries
WHERE endpoint_id = $1 AND ($2::text IS NULL OR status = $2) AND ($3::bigint IS NULL OR number < $3)
ORDER BY number DESC
LIMIT $4;

-- name: webhook_redeliver
-- Starts again with the first attempt, like a new call.
UPDATE webhook_deliveries SET status = 'pending', attempts = 0, due_at = now()
WHERE id = $1 AND endpoint_id = $2
RETURNING *;
