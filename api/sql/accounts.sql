-- Accounts, sessions, refresh tokens. Everything here is personal data and stays here.

-- name: user_add
-- The account, and its first message in the inbox. Registering is not on the log, so the message has a place that no
-- record of it has: partition -1, and for its id $5, beyond all partitions of notifications.outbound.
WITH added AS (
    INSERT INTO users (id, email, name, password_hash) VALUES ($1, $2, $3, $4)
    RETURNING id::text, email, name, role, description, links, created_at, email_verified_at
), told AS (
    INSERT INTO notifications (
        user_id, partition, "offset", "index", channel, template, kind, event_id, reservation_id, data, created_at,
        outbound_partition, outbound_offset)
    SELECT id, -1, 0, 0, 'inbox', 'registered', 'registered', '', '', '{}',
           (extract(epoch FROM created_at) * 1000000)::bigint, $5, 0
    FROM added
), mailed AS (
    INSERT INTO direct_messages (user_id, kind) SELECT id::uuid, 'registered' FROM added
), asked AS (
    INSERT INTO account_mails (user_id, kind) SELECT id::uuid, 'verify-email' FROM added
)
SELECT * FROM added;

-- name: user_credentials
SELECT id::text, role, password_hash FROM users WHERE email = $1;

-- name: user
SELECT id::text, email, name, role, description, links, created_at, email_verified_at FROM users WHERE id = $1;

-- name: user_update
-- Null leaves a column as it is.
UPDATE users SET name = coalesce($2, name), password_hash = coalesce($3, password_hash),
                 description = coalesce($4, description), links = coalesce($5::text[], links)
WHERE id = $1
RETURNING id::text, email, name, role, description, links, created_at, email_verified_at;

-- name: user_become_organizer
-- An administrator stays one.
UPDATE users SET role = CASE role WHEN 'buyer' THEN 'organizer' ELSE role END WHERE id = $1
RETURNING id::text, email, name, role, description, links, created_at, email_verified_at;

-- name: user_password
SELECT password_hash FROM users WHERE id = $1;

-- name: user_lock
-- First in each transaction that ends sessions: a refresh that is under way is waited for (its new token's row is seen
-- by the next statement), and one that comes later finds its token revoked.
SELECT id::text FROM users WHERE id = $1 FOR UPDATE;

-- name: user_lock_by_token
SELECT id::text FROM users WHERE id = (SELECT user_id FROM refresh_tokens WHERE token_hash = $1) FOR UPDATE;

-- name: sessions_end
-- Ends a user's sessions but one (null: every one), and says which.
WITH revoked AS (
    UPDATE refresh_tokens SET revoked_at = now()
    WHERE user_id = $1 AND revoked_at IS NULL AND ($2::uuid IS NULL OR family_id <> $2)
    RETURNING family_id
), ended AS (
    INSERT INTO ended_sessions (session_id) SELECT DISTINCT family_id FROM revoked
    ON CONFLICT (session_id) DO UPDATE SET ended_at = now()
)
SELECT coalesce(array_agg(DISTINCT family_id::text), '{}') AS sessions FROM revoked;

-- name: session_end_by_token
-- Ends the session of a refresh token, if $2 only when the token was used before. Says which, and whether it was.
WITH found AS (
    SELECT family_id, used_at IS NOT NULL AS reused FROM refresh_tokens
    WHERE token_hash = $1 AND (NOT $2 OR used_at IS NOT NULL)
), revoked AS (
    UPDATE refresh_tokens SET revoked_at = now()
    WHERE family_id IN (SELECT family_id FROM found) AND revoked_at IS NULL
    RETURNING family_id
), ended AS (
    INSERT INTO ended_sessions (session_id) SELECT DISTINCT family_id FROM revoked
    ON CONFLICT (session_id) DO UPDATE SET ended_at = now()
)
SELECT family_id::text AS session_id FROM found;

-- name: sessions_ended
-- Those whose access tokens may live still; $1 is how long one does, in seconds.
SELECT session_id::text FROM ended_sessions WHERE ended_at > now() - make_interval(secs => $1);

-- name: refresh_token_add
-- A login, or more of a session. What has ended goes: the user's expired tokens, everybody's long ended sessions.
WITH expired AS (
    DELETE FROM refresh_tokens WHERE user_id = $3 AND expires_at < now()
), over AS (
    DELETE FROM ended_sessions WHERE ended_at < now() - interval '1 hour'
)
INSERT INTO refresh_tokens (token_hash, family_id, user_id, expires_at) VALUES ($1, $2, $3, $4)
RETURNING family_id::text;

-- name: refresh_token_rotate
-- One statement: the row lock lets one of two concurrent uses through, the other finds used_at set. The user's row is
-- locked before the token's, as everywhere.
WITH holder AS (
    SELECT users.id, users.role FROM users
    JOIN refresh_tokens ON refresh_tokens.user_id = users.id AND token_hash = $1
    FOR KEY SHARE OF users
), used AS (
    UPDATE refresh_tokens SET used_at = now() FROM holder
    WHERE token_hash = $1 AND user_id = holder.id AND used_at IS NULL AND revoked_at IS NULL AND expires_at > now()
    RETURNING family_id, user_id, holder.role
), added AS (
    INSERT INTO refresh_tokens (token_hash, family_id, user_id, expires_at)
    SELECT $2, family_id, user_id, $3 FROM used
)
SELECT user_id::text, family_id::text AS session_id, role FROM used;

-- name: events_open_of_organizer
-- Published and not over at $2: somebody may hold or buy a ticket at any moment.
SELECT id FROM events WHERE organizer_id = $1 AND status = 'published' AND ends_at > $2 ORDER BY starts_at LIMIT 10;

-- name: inbox_lock
-- Whoever stores messages at this moment is waited for, and whoever comes later finds the user erased.
LOCK TABLE notifications IN SHARE ROW EXCLUSIVE MODE;

-- name: user_erase
-- Everything that is about a person. What refers to the row (tokens, preferences, webhooks, direct messages) goes with
-- it; what the log says of the opaque id stays. Says which sessions end.
WITH marked AS (
    INSERT INTO erased_users (user_id) VALUES ($1::uuid::text) ON CONFLICT (user_id) DO NOTHING
), sessions AS (
    SELECT DISTINCT family_id FROM refresh_tokens WHERE user_id = $1
), ended AS (
    INSERT INTO ended_sessions (session_id) SELECT family_id FROM sessions
    ON CONFLICT (session_id) DO UPDATE SET ended_at = now()
), messages AS (
    DELETE FROM notifications WHERE user_id = $1::uuid::text
), mails AS (
    DELETE FROM mail_deliveries WHERE user_id = $1::uuid::text
), gone AS (
    DELETE FROM users WHERE id = $1 RETURNING id
)
SELECT id::text, (SELECT coalesce(array_agg(family_id::text), '{}') FROM sessions) AS sessions FROM gone;
