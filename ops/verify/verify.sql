-- The queries of `circle verify`, in addition to the worker's own snapshot queries.

-- name: valid_tickets
SELECT id, user_id, version FROM tickets WHERE event_id = $1 AND status = 'valid';

-- name: event_of
SELECT event_id FROM reservations WHERE id = $1;
