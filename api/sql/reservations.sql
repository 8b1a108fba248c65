-- Reservations and tickets: reads of the projections.

-- name: reservation_by_id
-- Two events can have the same id if a buyer used one key for both; the first one counts.
SELECT * FROM reservations WHERE id = $1 ORDER BY created_at LIMIT 1;

-- name: reservations_since
-- $1 time, $2 limit. The latest ones, the oldest first. A process asks once when it starts, so there is no index for
-- it.
SELECT * FROM (
    SELECT id, user_id, event_id, partition, "offset", created_at FROM reservations
    WHERE created_at > $1 ORDER BY created_at DESC LIMIT $2
) AS latest
ORDER BY created_at;

-- name: reservation_of_event
SELECT * FROM reservations WHERE event_id = $1 AND id = $2;

-- name: reservations_of_user
-- $1 user, $2 event (null: any), $3 and $4 cursor, $5 limit.
SELECT * FROM reservations
WHERE user_id = $1 AND ($2::text IS NULL OR event_id = $2)
  AND ($3::bigint IS NULL OR (created_at, id) < ($3, $4::text))
ORDER BY created_at DESC, id DESC
LIMIT $5;

-- name: tickets_of_user
SELECT *, issued_at AS sort,
       EXISTS (SELECT FROM disputes WHERE disputes.event_id = tickets.event_id
               AND disputes.reservation_id = tickets.reservation_id AND disputes.status = 'open') AS disputed
FROM tickets
WHERE user_id = $1 AND ($2::text IS NULL OR event_id = $2)
  AND ($3::bigint IS NULL OR (issued_at, id) < ($3, $4::text))
ORDER BY issued_at DESC, id DESC
LIMIT $5;

-- name: ticket_by_id
SELECT *,
       EXISTS (SELECT FROM disputes WHERE disputes.event_id = tickets.event_id
               AND disputes.reservation_id = tickets.reservation_id AND disputes.status = 'open') AS disputed
FROM tickets WHERE id = $1;

-- name: payment_of_provider
-- A payment's id comes from the provider, and is unique over all events.
SELECT event_id, reservation_id FROM payments WHERE payment_id = $1 AND payment_id <> '' LIMIT 1;

-- name: money_of_reservation
-- $1 event, $2 reservation, $3 limit. The reservation with its refunds and disputes as JSON arrays, the latest last.
-- One statement reads one state, so they agree.
SELECT r.*,
       (SELECT coalesce(jsonb_agg(to_jsonb(f) ORDER BY f.requested_at, f.refund_key), '[]') FROM (
            SELECT * FROM refunds WHERE event_id = $1 AND reservation_id = $2 ORDER BY requested_at, refund_key LIMIT $3
        ) AS f)::text AS refunds,
       (SELECT coalesce(jsonb_agg(to_jsonb(d) ORDER BY d.opened_at, d.dispute_id), '[]') FROM (
            SELECT * FROM disputes WHERE event_id = $1 AND reservation_id = $2 ORDER BY opened_at, dispute_id LIMIT $3
        ) AS d)::text AS disputes
FROM reservations AS r WHERE r.event_id = $1 AND r.id = $2;
