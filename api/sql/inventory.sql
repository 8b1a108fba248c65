-- Pools, codes, blocks and waiting lists: reads of the projections.

-- name: pools_of_event
SELECT p.id, p.name, p.capacity,
       coalesce((SELECT sum(r.quantity) FROM reservations r
                 JOIN ticket_types t ON t.event_id = r.event_id AND t.id = r.ticket_type_id
                 WHERE r.event_id = p.event_id AND t.pool_id = p.id AND r.status IN ('held', 'confirmed')), 0)::bigint
           AS used
FROM pools p WHERE p.event_id = $1 ORDER BY p.name, p.id;

-- name: codes_of_event
SELECT c.*, u.used, u.places_used
FROM codes c
CROSS JOIN LATERAL (
    SELECT count(*) AS used, coalesce(sum(r.quantity), 0)::bigint AS places_used FROM reservations r
    WHERE r.event_id = c.event_id AND r.status IN ('held', 'confirmed')
      AND (r.promo_code <> '' OR r.access_code <> '') AND c.code IN (r.promo_code, r.access_code)) u
WHERE c.event_id = $1 ORDER BY c.created_at, c.id;

-- name: blocks_of_event
SELECT * FROM seat_blocks WHERE event_id = $1 ORDER BY "offset", id;

-- name: entry_by_id
-- After an offer, the entry's status is that of the offered reservation.
SELECT e.*, r.status AS offer_status, r.expires_at AS offer_until,
       (SELECT count(*) FROM waitlist_entries o
        WHERE o.event_id = e.event_id AND o.ticket_type_id = e.ticket_type_id AND o.status = 'waiting'
          AND (o."offset", o.id) < (e."offset", e.id)) AS ahead
FROM waitlist_entries e
LEFT JOIN reservations r ON r.event_id = e.event_id AND r.id = e.reservation_id AND e.status = 'offered'
WHERE e.id = $1;

-- name: entries_of_user
-- $1 user, $2 event (null: any), $3 and $4 cursor, $5 limit.
SELECT e.*, r.status AS offer_status, r.expires_at AS offer_until,
       (SELECT count(*) FROM waitlist_entries o
        WHERE o.event_id = e.event_id AND o.ticket_type_id = e.ticket_type_id AND o.status = 'waiting'
          AND (o."offset", o.id) < (e."offset", e.id)) AS ahead
FROM waitlist_entries e
LEFT JOIN reservations r ON r.event_id = e.event_id AND r.id = e.reservation_id AND e.status = 'offered'
WHERE e.user_id = $1 AND ($2::text IS NULL OR e.event_id = $2)
  AND ($3::bigint IS NULL OR (e.created_at, e.id) < ($3, $4::text))
ORDER BY e.created_at DESC, e.id DESC
LIMIT $5;

-- name: entries_of_event
-- $1 event, $2 and $3 cursor, $4 limit.
SELECT e.*, r.status AS offer_status, r.expires_at AS offer_until,
       (SELECT count(*) FROM waitlist_entries o
        WHERE o.event_id = e.event_id AND o.ticket_type_id = e.ticket_type_id AND o.status = 'waiting'
          AND (o."offset", o.id) < (e."offset", e.id)) AS ahead
FROM waitlist_entries e
LEFT JOIN reservations r ON r.event_id = e.event_id AND r.id = e.reservation_id AND e.status = 'offered'
WHERE e.event_id = $1 AND ($2::bigint IS NULL OR (e."offset", e.id) > ($2, $3::text))
ORDER BY e."offset", e.id
LIMIT $4;
