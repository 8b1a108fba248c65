-- Accounts, sessions, refresh tokens. All of it is personal data and stays in these tables.

-- name: user_add
-- The account, and its first message in the inbox. A registration is not on the log, so the message has a position that
-- no record has: partition -1, and in its id $5, beyond all partitions of notifications.outbound.
WITH added AS (
    INSERT INTO users (id, email, name, password_hash) VALUES ($1, $2, $3, $4)
    RETURNING id::text, created_at
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
SELECT id FROM added;

-- name: user_credentials
-- $1: the forms in which the address may be stored, of which the first match counts; $2: the client's network. `known`:
-- the account has had a login from this network.
SELECT u.id::text, u.email, u.email_verified_at, u.role, u.password_hash,
       EXISTS (SELECT FROM known_networks WHERE user_id = u.id AND network = $2::text) AS known,
       EXISTS (SELECT FROM second_factors WHERE user_id = u.id AND confirmed_at IS NOT NULL) AS second_factor,
       EXISTS (SELECT FROM event_staff WHERE member_id = u.id::text) AS staff
FROM users AS u WHERE u.email = ANY ($1::text[])
ORDER BY array_position($1::text[], u.email) LIMIT 1;

-- name: user
SELECT u.id::text, u.email, u.name, u.role, u.description, u.links, u.created_at, u.email_verified_at,
       EXISTS (SELECT FROM second_factors WHERE user_id = u.id AND confirmed_at IS NOT NULL) AS second_factor,
       EXISTS (SELECT FROM event_staff WHERE member_id = u.id::text) AS staff
FROM users AS u WHERE u.id = $1::uuid;

-- name: user_update
-- Null leaves a column as it is.
UPDATE users SET name = coalesce($2, name), password_hash = coalesce($3, password_hash),
                 description = coalesce($4, description), links = coalesce($5::text[], links)
WHERE id = $1
RETURNING id::text;

-- name: user_become_organizer
-- An administrator stays an administrator.
UPDATE users SET role = CASE role WHEN 'buyer' THEN 'organizer' ELSE role END WHERE id = $1
RETURNING id::text;

-- name: user_password
SELECT password_hash FROM users WHERE id = $1;

-- name: user_lock
-- First in each transaction that ends sessions. It waits for a running refresh, whose new token the next statement
-- sees; a later refresh finds its token revoked.
SELECT id::text FROM users WHERE id = $1 FOR UPDATE;

-- name: user_lock_by_token
SELECT id::text FROM users WHERE id = (SELECT user_id FROM refresh_tokens WHERE token_hash = $1) FOR UPDATE;

-- name: session_is_open
-- After user_lock: a change of an account needs a session that is still open.
SELECT id::text FROM sessions WHERE id = $2::uuid AND user_id = $1::uuid AND ended_at IS NULL;

-- name: session_open
-- The one statement that begins a session. It locks the user's row and checks that the password is still the verified
-- one. So if a login and a change of the password run together, either the change sees the session, or the login sees
-- the change.
WITH account AS (
    SELECT id FROM users WHERE id = $2::uuid AND password_hash = $3::text FOR UPDATE
), expired AS (
    DELETE FROM refresh_tokens WHERE user_id = $2::uuid AND expires_at < now()
), over AS (
    DELETE FROM ended_sessions WHERE ended_at < now() - interval '1 hour'
), opened AS (
    INSERT INTO sessions (id, user_id, address, user_agent) SELECT $1::uuid, id, $6::text, $7::text FROM account
    RETURNING id, user_id
), token AS (
    INSERT INTO refresh_tokens (token_hash, family_id, user_id, expires_at)
    SELECT $4::bytea, id, user_id, $5::timestamptz FROM opened
), known AS (
    INSERT INTO known_networks (user_id, network) SELECT user_id, $8::text FROM opened WHERE $8::text <> ''
    ON CONFLICT (user_id, network) DO UPDATE SET last_used_at = now()
)
SELECT id::text FROM opened;

-- name: sessions_of_user
-- The open ones; $2 and $3: the cursor; $5: how long an unused session lasts, in seconds.
SELECT id::text, created_at, last_used_at, address, user_agent,
       (extract(epoch FROM last_used_at) * 1000000)::bigint AS used_us
FROM sessions
WHERE user_id = $1::uuid AND ended_at IS NULL AND last_used_at > now() - make_interval(secs => $5::double precision)
  AND ($2::bigint IS NULL OR ((extract(epoch FROM last_used_at) * 1000000)::bigint, id::text) < ($2::bigint, $3::text))
ORDER BY used_us DESC, id::text DESC
LIMIT $4::bigint;

-- name: sessions_end
-- Ends a user's sessions except one (null: all), and returns the ended ones.
WITH over AS (
    UPDATE sessions SET ended_at = now()
    WHERE user_id = $1 AND ended_at IS NULL AND ($2::uuid IS NULL OR id <> $2)
    RETURNING id
), revoked AS (
    UPDATE refresh_tokens SET revoked_at = now()
    WHERE user_id = $1 AND revoked_at IS NULL AND ($2::uuid IS NULL OR family_id <> $2)
    RETURNING family_id
), gone AS (
    SELECT id FROM over UNION SELECT family_id FROM revoked
), ended AS (
    INSERT INTO ended_sessions (session_id) SELECT id FROM gone
    ON CONFLICT (session_id) DO UPDATE SET ended_at = now()
)
SELECT coalesce(array_agg(id::text), '{}') AS sessions FROM gone;

-- name: session_end
-- Ends one session of a user. No row: the user has no such open session.
WITH over AS (
    UPDATE sessions SET ended_at = now() WHERE user_id = $1::uuid AND id = $2::uuid AND ended_at IS NULL RETURNING id
), revoked AS (
    UPDATE refresh_tokens SET revoked_at = now() WHERE family_id IN (SELECT id FROM over) AND revoked_at IS NULL
), ended AS (
    INSERT INTO ended_sessions (session_id) SELECT id FROM over
    ON CONFLICT (session_id) DO UPDATE SET ended_at = now()
)
SELECT id::text AS session_id FROM over;

-- name: session_end_by_token
-- Ends the session of a refresh token; with $2 only if the token was used before. Returns the session and its user.
WITH found AS (
    SELECT family_id, user_id FROM refresh_tokens
    WHERE token_hash = $1 AND (NOT $2 OR used_at IS NOT NULL)
), over AS (
    UPDATE sessions SET ended_at = now() WHERE id IN (SELECT family_id FROM found) AND ended_at IS NULL RETURNING id
), revoked AS (
    UPDATE refresh_tokens SET revoked_at = now()
    WHERE family_id IN (SELECT family_id FROM found) AND revoked_at IS NULL
    RETURNING family_id
), ended AS (
    INSERT INTO ended_sessions (session_id) SELECT family_id FROM revoked UNION SELECT id FROM over
    ON CONFLICT (session_id) DO UPDATE SET ended_at = now()
)
SELECT family_id::text AS session_id, user_id::text, EXISTS (SELECT FROM over) AS was_open FROM found;

-- name: sessions_ended
-- Ended sessions whose access tokens may still be valid; $1: how long an access token is valid, in seconds.
SELECT session_id::text FROM ended_sessions WHERE ended_at > now() - make_interval(secs => $1);

-- name: refresh_token_rotate
-- One statement: the row lock lets one of two concurrent uses through, and the other sees used_at set. As everywhere,
-- the user's row is locked before the token's. Only an open session continues.
WITH holder AS (
    SELECT users.id, users.email, users.email_verified_at, users.role FROM users
    JOIN refresh_tokens ON refresh_tokens.user_id = users.id AND token_hash = $1
    FOR KEY SHARE OF users
), used AS (
    UPDATE refresh_tokens SET used_at = now() FROM holder
    WHERE token_hash = $1 AND user_id = holder.id AND used_at IS NULL AND revoked_at IS NULL AND expires_at > now()
      AND EXISTS (SELECT FROM sessions WHERE id = family_id AND ended_at IS NULL)
    RETURNING family_id, user_id, holder.role, holder.email, holder.email_verified_at
), added AS (
    INSERT INTO refresh_tokens (token_hash, family_id, user_id, expires_at)
    SELECT $2, family_id, user_id, $3 FROM used
), seen AS (
    UPDATE sessions SET last_used_at = now(), address = $4::text, user_agent = $5::text
    FROM used WHERE id = used.family_id
)
SELECT user_id::text, family_id::text AS session_id, role, email, email_verified_at,
       EXISTS (SELECT FROM second_factors AS f WHERE f.user_id = used.user_id AND confirmed_at IS NOT NULL)
           AS second_factor,
       EXISTS (SELECT FROM event_staff WHERE member_id = used.user_id::text) AS staff
FROM used;

-- name: events_open_of_organizer
-- Published, and not over at $2: a user may hold or buy a ticket at any moment.
SELECT id FROM events WHERE organizer_id = $1 AND status = 'published' AND ends_at > $2 ORDER BY starts_at LIMIT 10;

-- name: inbox_lock
-- Waits for transactions that are storing messages; a later one finds the user erased.
LOCK TABLE notifications IN SHARE ROW EXCLUSIVE MODE;

-- name: user_erase
-- Deletes all personal data. Rows that refer to the user (tokens, preferences, webhooks, direct messages) are deleted
-- too; facts about the opaque id stay on the log. Returns the sessions that end.
WITH marked AS (
    INSERT INTO erased_users (user_id) VALUES ($1::uuid::text) ON CONFLICT (user_id) DO NOTHING
), over AS (
    SELECT family_id FROM refresh_tokens WHERE user_id = $1 UNION SELECT id FROM sessions WHERE user_id = $1
), ended AS (
    INSERT INTO ended_sessions (session_id) SELECT family_id FROM over
    ON CONFLICT (session_id) DO UPDATE SET ended_at = now()
), messages AS (
    DELETE FROM notifications WHERE user_id = $1::uuid::text
), mails AS (
    DELETE FROM mail_deliveries WHERE user_id = $1::uuid::text
), exports AS (
    DELETE FROM notification_exports WHERE user_id = $1::uuid::text
), gone AS (
    DELETE FROM users WHERE id = $1 RETURNING id
)
SELECT id::text, (SELECT coalesce(array_agg(family_id::text), '{}') FROM over) AS sessions FROM gone;
