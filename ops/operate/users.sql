-- What `circle users` asks and writes.

-- name: user_by_email
SELECT id::text, role FROM users WHERE email = $1 FOR UPDATE;

-- name: promote
UPDATE users SET role = $2 WHERE id = $1::uuid;
