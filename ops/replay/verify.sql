-- What `circle verify` reads beside the worker's own snapshot queries.

-- name: valid_tickets
SELECT id FROM tickets WHERE event_id = $1 AND status = 'valid';
