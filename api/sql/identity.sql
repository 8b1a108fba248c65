-- Proven addresses, mailed links, sessions one by one, second factors, the audit log.

-- name: user_lock_by_link
-- Whoever holds or sends a mail of this account at this moment is waited for: the next statement sees what they did.
SELECT id::text FROM users
WHERE id = (SELECT user_id FROM mailed_links WHERE token_hash = $1::bytea AND purpose = $2::text AND expires_at > now())
FOR UPDATE;

-- name: email_verify
-- The link and all others like it are used up; the mails that were held for this are due.
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
-- Another link to an address that nobody has proven yet. Says whether there is anything to prove.
INSERT INTO account_mails (user_id, kind)
SELECT id, 'verify-email' FROM users WHERE id = $1::uuid AND email_verified_at IS NULL
RETURNING user_id::text;

-- name: account_verified
-- Whether an account's address is proven: what goes to others, tickets and invitations, goes to those only.
SELECT email_verified_at IS NOT NULL AS verified FROM users WHERE id = $1::uuid;
