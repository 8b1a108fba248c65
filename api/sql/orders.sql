-- An event's orders, as its organizer sees them. They have no index for their order, which would slow every sale: the
-- primary key finds an event's reservations, and each page sorts them.

-- name: orders_of_event
-- $1 event, $2 status (null: all but the rejected), $3 ticket type, $4 text, $5 and $6 cursor, $7 limit; the latest
-- first.
SELECT r.*, t.name AS ticket_type, u.name AS buyer_name, u.email AS buyer_email,
       coalesce(m.refunded, 0)::bigint AS refunded, coalesce(m.refunding, 0)::bigint AS refunding
FROM reservations AS r
LEFT JOIN ticket_types AS t ON t.event_id = r.event_id AND t.id = r.ticket_type_id
LEFT JOIN users AS u ON u.id = CASE
    WHEN r.user_id ~ '^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$' THEN r.user_id::uuid END
LEFT JOIN LATERAL (
    SELECT sum(f.refunded_minor) FILTER (WHERE f.status = 'refunded') AS refunded,
           sum(f.amount_minor) FILTER (WHERE f.status = 'requested') AS refunding
    FROM refunds AS f WHERE f.event_id = r.event_id AND f.reservation_id = r.id
) AS m ON true
WHERE r.event_id = $1
  AND CASE WHEN $2::text IS NULL THEN r.status <> 'rejected' ELSE r.status = $2::text END
  AND ($3::text IS NULL OR r.ticket_type_id = $3::text)
  AND ($4::text IS NULL OR r.id = lower($4::text) OR r.user_id = lower($4::text)
       OR search_key(u.name) LIKE search_pattern($4::text) OR search_key(u.email) LIKE search_pattern($4::text))
  AND ($5::bigint IS NULL OR (r.created_at, r.id) < ($5::bigint, $6::text))
ORDER BY r.created_at DESC, r.id DESC
LIMIT $7::bigint;

-- name: order_of_event
SELECT r.*, t.name AS ticket_type, u.name AS buyer_name, u.email AS buyer_email,
       coalesce(m.refunded, 0)::bigint AS refunded, coalesce(m.refunding, 0)::bigint AS refunding
FROM reservations AS r
LEFT JOIN ticket_types AS t ON t.event_id = r.event_id AND t.id = r.ticket_type_id
LEFT JOIN users AS u ON u.id = CASE
    WHEN r.user_id ~ '^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$' THEN r.user_id::uuid END
LEFT JOIN LATERAL (
    SELECT sum(f.refunded_minor) FILTER (WHERE f.status = 'refunded') AS refunded,
           sum(f.amount_minor) FILTER (WHERE f.status = 'requested') AS refunding
    FROM refunds AS f WHERE f.event_id = r.event_id AND f.reservation_id = r.id
) AS m ON true
WHERE r.event_id = $1 AND r.id = $2;

-- name: tickets_of_order
SELECT * FROM tickets WHERE event_id = $1 AND reservation_id = $2 ORDER BY ordinal, id;

-- name: refunds_of_order
SELECT * FROM refunds WHERE event_id = $1 AND reservation_id = $2 ORDER BY requested_at, refund_key;
