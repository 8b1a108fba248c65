-- Events, ticket types, availability: reads of the projections.

-- name: events_by_starts_at
-- $1 searched text, $2 category, $3 status, $4 from, $5 to, $6 organizer (null: any), $7 and $8 cursor, $9 limit.
-- The four orders differ in the last three lines only.
SELECT * FROM events
WHERE ($1::text IS NULL OR id IN (SELECT id FROM events WHERE search_text LIKE search_pattern($1)))
  AND ($2::text IS NULL OR category_id = $2) AND status = $3
  AND ($4::bigint IS NULL OR starts_at >= $4) AND ($5::bigint IS NULL OR starts_at < $5)
  AND ($6::text IS NULL OR organizer_id = $6)
  AND ($7::bigint IS NULL OR (starts_at, id) > ($7, $8::text))
ORDER BY starts_at, id
LIMIT $9;

-- name: events_by_starts_at_down
SELECT * FROM events
WHERE ($1::text IS NULL OR id IN (SELECT id FROM events WHERE search_text LIKE search_pattern($1)))
  AND ($2::text IS NULL OR category_id = $2) AND status = $3
  AND ($4::bigint IS NULL OR starts_at >= $4) AND ($5::bigint IS NULL OR starts_at < $5)
  AND ($6::text IS NULL OR organizer_id = $6)
  AND ($7::bigint IS NULL OR (starts_at, id) < ($7, $8::text))
ORDER BY starts_at DESC, id DESC
LIMIT $9;

-- name: events_by_created_at
SELECT * FROM events
WHERE ($1::text IS NULL OR id IN (SELECT id FROM events WHERE search_text LIKE search_pattern($1)))
  AND ($2::text IS NULL OR category_id = $2) AND status = $3
  AND ($4::bigint IS NULL OR starts_at >= $4) AND ($5::bigint IS NULL OR starts_at < $5)
  AND ($6::text IS NULL OR organizer_id = $6)
  AND ($7::bigint IS NULL OR (created_at, id) > ($7, $8::text))
ORDER BY created_at, id
LIMIT $9;

-- name: events_by_created_at_down
SELECT * FROM events
WHERE ($1::text IS NULL OR id IN (SELECT id FROM events WHERE search_text LIKE search_pattern($1)))
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
-- The same numbers as in Redis. A place that another seller has locked or the organizer has blocked is neither
-- available, held nor sold. The free capacity of a shared pool limits what is available of each of its ticket types.
WITH counted AS (
    SELECT t.id, t.ordinal, t.pool_id,
           CASE t.kind WHEN 'seated' THEN t.rows::bigint * t.seats_per_row ELSE t.capacity END AS total,
           coalesce(sum(r.quantity) FILTER (WHERE r.status = 'held'), 0)::bigint AS held,
           coalesce(sum(r.quantity) FILTER (WHERE r.status = 'confirmed'), 0)::bigint AS sold,
           (SELECT count(*) FROM observed_seat_locks o
            WHERE o.event_id = $1 AND o.locked AND o.place LIKE t.id || '/%') AS locked,
           (SELECT coalesce(sum(b.quantity), 0) FROM seat_blocks b
            WHERE b.event_id = $1 AND b.ticket_type_id = t.id)::bigint AS blocked,
           (SELECT count(*) FROM waitlist_entries w
            WHERE w.event_id = $1 AND w.ticket_type_id = t.id AND w.status = 'waiting') AS waiting
    FROM ticket_types t
    LEFT JOIN reservations r
           ON r.event_id = $1 AND r.ticket_type_id = t.id AND r.status IN ('held', 'confirmed')
    WHERE t.event_id = $1
    GROUP BY t.event_id, t.id
), pooled AS (
    SELECT p.id, p.capacity - coalesce(sum(c.held + c.sold), 0) AS left_over
    FROM pools p LEFT JOIN counted c ON c.pool_id = p.id
    WHERE p.event_id = $1
    GROUP BY p.event_id, p.id
)
SELECT c.id, c.total, c.held, c.sold, c.blocked, c.waiting,
       least(c.total - c.held - c.sold - c.locked - c.blocked, coalesce(p.left_over, c.total))::bigint AS free
FROM counted c LEFT JOIN pooled p ON p.id = c.pool_id
ORDER BY c.ordinal, c.id;

-- name: seats_from_rows
SELECT ticket_type_id || '/' || seat AS place, status FROM seat_claims WHERE event_id = $1 AND status <> 'ended'
UNION ALL
SELECT ticket_type_id || '/' || unnest(seats), 'blocked' FROM seat_blocks WHERE event_id = $1 AND quantity > 0
UNION ALL
SELECT place, 'locked' FROM observed_seat_locks WHERE event_id = $1 AND locked;

-- name: schedule_of_event
SELECT activities FROM schedules WHERE event_id = $1;

-- name: ticket_types_shown
-- api/reads/visibility.py decides who may see which.
SELECT id, hidden FROM ticket_types WHERE event_id = $1;

-- name: code_known
SELECT 1 FROM codes WHERE event_id = $1 AND code = $2 AND (kind = 'access') = $3::boolean AND NOT disabled;

-- name: access_code
SELECT ticket_type_ids FROM codes WHERE event_id = $1 AND code = $2 AND kind = 'access' AND NOT disabled;
