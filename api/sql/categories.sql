-- Categories.

-- name: categories
SELECT id::text, name, created_at, (extract(epoch FROM created_at) * 1000000)::bigint AS made_us
FROM categories
WHERE $1::bigint IS NULL OR ((extract(epoch FROM created_at) * 1000000)::bigint, id::text) > ($1, $2::text)
ORDER BY (extract(epoch FROM created_at) * 1000000)::bigint, id::text
LIMIT $3;

-- name: category
SELECT id::text, name, created_at, created_by::text FROM categories WHERE id = $1;

-- name: category_add
INSERT INTO categories (id, name, created_by) VALUES ($1, $2, $3) RETURNING id::text, name, created_at;

-- name: category_delete
DELETE FROM categories
WHERE id = $1 AND NOT EXISTS (SELECT FROM events WHERE category_id = $1::uuid::text)
RETURNING id::text;
