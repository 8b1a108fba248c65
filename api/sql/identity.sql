-- Verified addresses, mailed links, second factors, the audit log.

-- name: user_lock_by_link
-- Waits for transactions that hold or send a mail of this account: the next statement sees their changes.
SELECT id::text FROM users
WHERE id = (SELECT user_id FROM mailed_links WHERE token_hash = $1::bytea AND purpose = $2::text AND expires_at > now())
FOR UPDATE;

-- name: email_verify
-- The link and all others of its kind become invalid; the mails that waited for this are due.
WITH link AS (
    SELECT user_id FROM mailed_links
    WHERE token_hash = $1::bytea AND purpose = 'verify-email' AND expires_at > now()
), verified AS (
    UPDATE users SET email_verified_at = coalesce(email_verified_at, now())
    FROM link WHERE users.id = link.user_id RETURNING users.id
), used AS (
    DELETE FROM mailed_links USING verified WHERE user_id = verified.id AND purpose = 'verify-email'
), released AS (
    UPDATE mail_deliveries SET status = 'pending', due_at = now(), changed_at = now(), attempts = 0
    FROM verified WHERE user_id = verified.id::text AND status = 'held'
)
SELECT id::text FROM verified;

-- name: verification_ask
-- Another link to an address that is not verified yet. Returns whether there is one.
INSERT INTO account_mails (user_id, kind)
SELECT id, 'verify-email' FROM users WHERE id = $1::uuid AND email_verified_at IS NULL
RETURNING user_id::text;

-- name: account_mail_add
INSERT INTO account_mails (user_id, kind) VALUES ($1::uuid, $2::text);

-- name: password_reset_ask
-- Always one row, so that an unknown address takes as long as a known one.
WITH account AS (
    SELECT id FROM users WHERE email = $1::text
), mail AS (
    INSERT INTO account_mails (user_id, kind) VALUES ((SELECT id FROM account), 'password-reset')
)
INSERT INTO security_events (kind, outcome, actor, user_id, address, user_agent)
SELECT 'password-reset-asked', 'done', 'somebody', id, $2::text, $3::text FROM account;

-- name: reset_link
-- The user whose password a link may set.
SELECT users.id::text, email, name FROM mailed_links JOIN users ON users.id = user_id
WHERE token_hash = $1::bytea AND purpose = 'password-reset' AND expires_at > now();

-- name: password_reset
-- The link was in a mail to the address, so it also verifies the address. All links of the account become invalid.
WITH changed AS (
    UPDATE users SET password_hash = $2::text, email_verified_at = coalesce(email_verified_at, now())
    WHERE id = $1::uuid RETURNING id
), used AS (
    DELETE FROM mailed_links USING changed WHERE user_id = changed.id
), released AS (
    UPDATE mail_deliveries SET status = 'pending', due_at = now(), changed_at = now(), attempts = 0
    FROM changed WHERE user_id = changed.id::text AND status = 'held'
)
SELECT id::text FROM changed;

-- name: reset_links_end
-- The user has set a new password with the old one: earlier links cannot set another.
WITH mails AS (DELETE FROM account_mails WHERE user_id = $1::uuid AND kind = 'password-reset')
DELETE FROM mailed_links WHERE user_id = $1::uuid AND purpose = 'password-reset';

-- name: network_known
INSERT INTO known_networks (user_id, network) SELECT $1::uuid, $2::text WHERE $2::text <> ''
ON CONFLICT (user_id, network) DO UPDATE SET last_used_at = now();

-- name: security_event_add
-- $9: a name, for which there is only one entry (null: no name).
INSERT INTO security_events (kind, outcome, actor, user_id, session_id, address, user_agent, detail, once)
VALUES ($1::text, $2::text, $3::text, $4::uuid, $5::uuid, $6::text, $7::text, $8::text::jsonb, $9::text)
ON CONFLICT DO NOTHING;

-- name: security_events
-- The latest first; $1 user, $2 kind (null: any), $3 cursor.
SELECT id, at, kind, outcome, actor, user_id::text, session_id::text, address, user_agent, detail::text
FROM security_events
WHERE ($1::uuid IS NULL OR user_id = $1::uuid) AND ($2::text IS NULL OR kind = $2::text)
  AND ($3::bigint IS NULL OR id < $3::bigint)
ORDER BY id DESC LIMIT $4::bigint;

-- name: factor_of
SELECT secret, confirmed_at IS NOT NULL AS confirmed FROM second_factors WHERE user_id = $1::uuid;

-- name: factor_begin
-- A confirmed factor stays.
INSERT INTO second_factors AS f (user_id, secret) VALUES ($1::uuid, $2::bytea)
ON CONFLICT (user_id) DO UPDATE SET secret = excluded.secret, created_at = now(), last_step = 0
WHERE f.confirmed_at IS NULL
RETURNING user_id::text;

-- name: factor_step
-- Uses a code by its time step: no code is used twice, and no earlier code after it.
UPDATE second_factors SET last_step = $2::bigint, secret = $3::bytea
WHERE user_id = $1::uuid AND last_step < $2::bigint
RETURNING user_id::text;

-- name: factor_confirm
UPDATE second_factors SET confirmed_at = now()
WHERE user_id = $1::uuid AND confirmed_at IS NULL AND secret = $2::bytea
RETURNING user_id::text;

-- name: factor_remove
WITH codes AS (DELETE FROM recovery_codes WHERE user_id = $1::uuid)
DELETE FROM second_factors WHERE user_id = $1::uuid RETURNING confirmed_at IS NOT NULL AS confirmed;

-- name: recovery_codes_forget
DELETE FROM recovery_codes WHERE user_id = $1::uuid;

-- name: recovery_codes_put
INSERT INTO recovery_codes (user_id, code_hash) SELECT $1::uuid, unnest($2::bytea[]);

-- name: recovery_code_use
UPDATE recovery_codes SET used_at = now() WHERE user_id = $1::uuid AND code_hash = $2::bytea AND used_at IS NULL
RETURNING (SELECT count(*) FROM recovery_codes WHERE user_id = $1::uuid AND used_at IS NULL) - 1 AS codes_left;

-- name: recovery_codes_left
SELECT count(*) AS codes_left FROM recovery_codes WHERE user_id = $1::uuid AND used_at IS NULL;
