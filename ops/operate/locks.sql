-- name: event
-- The event that locks are taken of.
SELECT id, status FROM events WHERE id = $1;

-- name: ticket_types
-- What it sells, in order.
SELECT id, name, kind, rows, seats_per_row FROM ticket_types WHERE event_id = $1 ORDER BY ordinal;
