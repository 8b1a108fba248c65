-- What the API writes about channels: preferences.

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
