-- The holds of the expiry bench.

-- name: holds
-- $1: events. How many are held and expired; the deadlines of all and the log time of the last change, in µs.
SELECT count(*) FILTER (WHERE status = 'held') AS held,
       count(*) FILTER (WHERE status = 'expired') AS expired,
       coalesce(min(expires_at), 0) AS first_due,
       coalesce(max(expires_at), 0) AS last_due,
       coalesce(max(updated_at), 0) AS last_change
FROM reservations WHERE event_id = ANY($1::text[]);
