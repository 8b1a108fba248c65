-- Mails about accounts, the links in them, and the deletion of old identity data.

-- name: drop_addressless
-- Requested links whose address belongs to no account.
DELETE FROM account_mails WHERE user_id IS NULL AND status = 'pending';

-- name: claim_account_mails
-- A process that claims a mail has it for $1 seconds; if the process dies, the mail is due again. Only ids come back:
-- an unreadable row must not stop the other rows of its batch. Registrations can ask for many links that prove an
-- address, so these links take turns with all other mails.
WITH ranked AS (
    SELECT id, due_at, row_number() OVER (PARTITION BY kind = 'verify-email' ORDER BY due_at, id) AS turn
    FROM account_mails WHERE status = 'pending' AND due_at <= now()
), chosen AS (
    SELECT id FROM ranked ORDER BY turn, due_at, id LIMIT $2::integer
), due AS (
    SELECT id FROM account_mails WHERE id IN (SELECT id FROM chosen) AND status = 'pending' AND due_at <= now()
    FOR UPDATE SKIP LOCKED
)
UPDATE account_mails AS m
SET attempts = m.attempts + 1, due_at = now() + make_interval(secs => $1::double precision)
FROM due
WHERE m.id = due.id
RETURNING m.id;

-- name: account_mails
SELECT m.id, m.user_id, m.kind, m.attempts, m.created_at, users.email, users.email_verified_at IS NOT NULL AS verified
FROM account_mails AS m JOIN users ON users.id = m.user_id
WHERE m.id = ANY ($1::bigint[]) ORDER BY m.id;

-- name: add_link
-- A user has at most LINKS_MAX live links of a kind. Older ones end.
WITH surplus AS (
    DELETE FROM mailed_links WHERE token_hash IN (
        SELECT token_hash FROM mailed_links WHERE user_id = $2::uuid AND purpose = $3::text
        ORDER BY created_at DESC OFFSET $5::integer - 1)
)
INSERT INTO mailed_links (token_hash, user_id, purpose, expires_at)
SELECT $1::bytea, id, $3::text, now() + make_interval(secs => $4::double precision) FROM users WHERE id = $2::uuid;

-- name: account_mail_done
DELETE FROM account_mails WHERE id = $1::bigint;

-- name: account_mail_again
UPDATE account_mails SET error = $2::text, due_at = now() + make_interval(secs => $3::double precision)
WHERE id = $1::bigint;

-- name: account_mail_failed
UPDATE account_mails SET status = 'failed', error = $2::text WHERE id = $1::bigint;

-- name: forget_all_account_mails
-- Without a mail server no mail is kept.
DELETE FROM account_mails WHERE status = 'pending';

-- name: prune_links
DELETE FROM mailed_links WHERE token_hash IN (
    SELECT token_hash FROM mailed_links WHERE expires_at < now() LIMIT $1::integer);

-- name: prune_failed
DELETE FROM account_mails WHERE status = 'failed' AND created_at < now() - make_interval(days => $1::integer);

-- name: prune_identity
-- Addresses and networks are deleted after $1 days, the entries themselves after $2.
WITH events AS (
    UPDATE security_events SET address = '', user_agent = '', once = NULL
    WHERE id IN (SELECT id FROM security_events WHERE at < now() - make_interval(days => $1::integer)
                 AND (address <> '' OR user_agent <> '' OR once IS NOT NULL) ORDER BY id LIMIT $3::integer)
), old_events AS (
    DELETE FROM security_events
    WHERE id IN (SELECT id FROM security_events WHERE at < now() - make_interval(days => $2::integer) LIMIT $3::integer)
), networks AS (
    DELETE FROM known_networks WHERE last_used_at < now() - make_interval(days => $1::integer)
)
DELETE FROM sessions
WHERE id IN (SELECT id FROM sessions WHERE last_used_at < now() - make_interval(days => $1::integer) LIMIT $3::integer);
