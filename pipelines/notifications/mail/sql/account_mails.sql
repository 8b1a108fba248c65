-- Mails about accounts, the links in them, and what of identity is old enough to go.

-- name: drop_addressless
-- Links that were asked for and nobody has the address.
DELETE FROM account_mails WHERE user_id IS NULL AND status = 'pending';

-- name: claim_account_mails
-- Whoever claims a mail has it for $1 seconds; a process that dies lets it fall due again. Only ids come back: a row that
-- cannot be read must not keep the others of its batch. What proves an address, which registrations ask for without end,
-- takes turns with everything else.
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
-- A user has LINKS_MAX live links of a kind, the latest; those before them end.
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
-- Nobody sends mails here.
DELETE FROM account_mails WHERE status = 'pending';

-- name: prune_links
DELETE FROM mailed_links WHERE token_hash IN (
    SELECT token_hash FROM mailed_links WHERE expires_at < now() LIMIT $1::integer);

-- name: prune_failed
DELETE FROM account_mails WHERE status = 'failed' AND created_at < now() - make_interval(days => $1::integer);

-- name: prune_identity
-- Where somebody was, $1 days ago, is nobody's business any more; what happened is, for $2.
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
