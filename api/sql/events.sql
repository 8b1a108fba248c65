-- Events, ticket types, availability: reads of the projections.

-- name: events_by_starts_at
-- $1 search pattern, $2 category, $3 status, $4 from, $5 to, $6 organizer (null: any), $7 and $8 cursor, $9 limit.
-- The four orders differ in the last three lines only.
SELECT * FROM events
WHERE ($1::text IS NULL OR title ILIKE $1 OR description ILIKE $1 OR venue ILIKE $1)
  AND ($2::text IS NULL OR category_id = $2) AND status = $3
  AND ($4::bigint IS NULL OR starts_at >= $4) AND ($5::bigint IS NULL OR starts_at < $5)
  AND ($6::text IS NULL OR organizer_id = $6)
  AND ($7::bigint IS NULL OR (starts_at, id) > ($7, $8::text))
ORDER BY starts_at, id
LIMIT $9;

-- name: events_by_starts_at_down
SELECT * FROM events
WHERE ($1::text IS NULL OR title ILIKE $1 OR description ILIKE $1 OR venue ILIKE $1)
  AND ($2::text IS NULL OR category_id = $2) AND status = $3
  AND ($4::bigint IS NULL OR starts_at >= $4) AND ($5::bigint IS NULL OR starts_at < $5)
  AND ($6::text IS NULL OR organizer_id = $6)
  AND ($7::bigint IS NULL OR (starts_at, id) < ($7, $8::text))
ORDER BY starts_at DESC, id DESC
LIMIT $9;

-- name: events_by_created_at
SELECT * FROM events
WHERE ($1::text IS NULL OR title ILIKE $1 OR description ILIKE $1 OR venue ILIKE $1)
  AND ($2::text IS NULL OR category_id = $2) AND status = $3
  AND ($4::bigint IS NULL OR starts_at >= $4) AND ($5::bigint IS NULL OR starts_at < $5)
  AND ($6::text IS NULL OR organizer_id = $6)
  AND ($7::bigint IS NULL OR (created_at, id) > ($7, $8::text))
ORDER BY created_at, id
LIMIT $9;

-- name: events_by_created_at_down
SELECT * FROM events
WHERE ($1::text IS NULL OR title ILIKE $1 OR description ILIKE $1 OR venue ILIKE $1)
  AND ($2::text IS NULL OR category_id = $2) AND status = $3
  AND ($4::bigint IS NULL OR starts_at >= $4) AND ($5::bigint IS NULL OR starts_at < $5)
  AND ($6::text IS NULL OR organizer_id = $6)
  AND ($7::bigint IS NULL OR (created_at, id) < ($7, $8::text))
ORDER BY created_at DESC, id DESC
LIMIT $9;

-- name: event_by_id
SELECT * FROM events WHERE id = $1;

-- name: ticket_types_of_event
SELECT * FROM ticket_types WHERE event_id = $1 ORDER BY ordinal, id;

-- name: availability_from_rows
-- What Redis would say. A seat that another seller has locked is neither available, held nor sold.
SELECT t.id,
       CASE t.kind WHEN 'seated' THEN t.rows * t.seats_per_row ELSE t.capacity END AS total,
       coalesce(sum(r.quantity) FILTER (WHERE r.status = 'held'), 0)::bigint AS held,
       coalesce(sum(r.quantity) FILTER (WHERE r.status = 'confirmed'), 0)::bigint AS sold,
       (SELECT count(*) FROM observed_seat_locks o
        WHERE o.event_id = $1 AND o.locked AND o.place LIKE t.id || '/%') AS locked
FROM ticket_types t
LEFT JOIN reservations r
       ON r.event_id = $1 AND r.ticket_type_id = t.id AND r.status IN ('held', 'confirmed')
WHERE t.event_id = $1
GROUP BY t.event_id, t.id
ORDER BY t.ordinal, t.id;

-- name: seats_from_rows
SELECT ticket_type_id || '/' || seat AS place, status FROM seat_claims WHERE event_id = $1 AND status <> 'ended'
UNION ALL
SELECT place, 'locked' FROM observed_seat_locks WHERE event_id = $1 AND locked;
