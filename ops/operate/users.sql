-- What `circle users` asks and writes.

-- name: user_by_email
SELECT id::text, email, role, email_verified_at IS NOT NULL AS verified,
       EXISTS (SELECT FROM second_factors WHERE user_id = users.id AND confirmed_at IS NOT NULL) AS second_factor
FROM users WHERE email = $1 FOR UPDATE;

-- name: promote
UPDATE users SET role = $2 WHERE id = $1::uuid;

-- name: verify
-- By the operator's word; the mails that were held for this are due.
WITH verified AS (
    UPDATE users SET email_verified_at = now() WHERE id = $1::uuid RETURNING id
), used AS (
    DELETE FROM mailed_links USING verified WHERE user_id = verified.id AND purpose = 'verify-email'
)
UPDATE mail_deliveries SET status = 'pending', due_at = now(), changed_at = now(), attempts = 0
FROM verified WHERE user_id = verified.id::text AND status = 'held';

-- name: enrol
-- Confirmed at once: the operator hands the secret over.
INSERT INTO second_factors (user_id, secret, confirmed_at) VALUES ($1::uuid, $2::bytea, now())
ON CONFLICT (user_id) DO UPDATE SET secret = excluded.secret, confirmed_at = now(), last_step = 0, created_at = now();
