-- The facts that lack their rows in the live tables.

-- name: set_aside
SELECT partition, "offset", "index" FROM facts_set_aside;
