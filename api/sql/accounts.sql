-- Accounts and refresh tokens. Everything here is personal data and stays here.

-- name: user_add
INSERT INTO users (id, email, name, password_hash) VALUES ($1, $2, $3, $4)
RETURNING id::text, email, name, role, created_at;

-- name: user_credentials
SELECT id::text, role, password_hash FROM users WHERE email = $1;

-- name: user
SELECT id::text, email, name, role, created_at FROM users WHERE id = $1;

-- name: user_update
-- Null leaves a column as it is.
UPDATE users SET name = coalesce($2, name), password_hash = coalesce($3, password_hash) WHERE id = $1
RETURNING id::text, email, name, role, created_at;

-- name: user_become_organizer
-- An administrator stays one.
UPDATE users SET role = CASE role WHEN 'buyer' THEN 'organizer' ELSE role END WHERE id = $1
RETURNING id::text, email, name, role, created_at;

-- name: refresh_token_add
INSERT INTO refresh_tokens (token_hash, family_id, user_id, expires_at) VALUES ($1, $2, $3, $4)
RETURNING family_id::text;

-- name: refresh_token_rotate
-- One statement: the row lock lets one of two concurrent uses through, the other finds used_at set.
WITH used AS (
    UPDATE refresh_tokens SET used_at = now()
    WHERE token_hash = $1 AND used_at IS NULL AND revoked_at IS NULL AND expires_at > now()
    RETURNING family_id, user_id
), added AS (
    INSERT INTO refresh_tokens (token_hash, family_id, user_id, expires_at)
    SELECT $2, family_id, user_id, $3 FROM used
)
SELECT used.user_id::text, users.role FROM used JOIN users ON users.id = used.user_id;

-- name: refresh_token_revoke_reused
-- Revokes the family of a token that was used before. A row comes back when it was.
WITH reused AS (
    SELECT family_id FROM refresh_tokens WHERE token_hash = $1 AND used_at IS NOT NULL
), revoked AS (
    UPDATE refresh_tokens SET revoked_at = now()
    WHERE family_id IN (SELECT family_id FROM reused) AND revoked_at IS NULL
)
SELECT family_id::text FROM reused;

-- name: refresh_token_revoke_family
UPDATE refresh_tokens SET revoked_at = now()
WHERE family_id = (SELECT family_id FROM refresh_tokens WHERE token_hash = $1) AND revoked_at IS NULL
RETURNING family_id::text;
