-- Sales as the rows have them, for figures: never a basis of a decision.

-- name: open_holds
-- Holds that are open, those that end in the next minute, and those whose end has passed. $1: now, microseconds.
SELECT count(*) AS open,
       count(*) FILTER (WHERE expires_at BETWEEN $1::bigint AND $1::bigint + 60000000) AS expiring,
       count(*) FILTER (WHERE expires_at < $1::bigint) AS overdue
FROM reservations WHERE status = 'held';

-- name: sales_by_ticket_type
-- Places of each ticket type of events that are on sale or not over: all, held, and sold (valid tickets).
WITH running AS (
    SELECT id FROM events
    WHERE status = 'published' AND ends_at > $1::bigint
    ORDER BY starts_at, id LIMIT $2::bigint
), held AS (
    SELECT event_id, ticket_type_id, sum(quantity) AS places
    FROM reservations WHERE status = 'held' AND event_id IN (SELECT id FROM running) GROUP BY 1, 2
), sold AS (
    SELECT event_id, ticket_type_id, count(*) AS places
    FROM tickets WHERE status = 'valid' AND event_id IN (SELECT id FROM running) GROUP BY 1, 2
)
SELECT t.event_id, t.currency,
       CASE WHEN t.kind = 'seated' THEN t.rows::bigint * t.seats_per_row ELSE t.capacity END AS total,
       coalesce(held.places, 0)::bigint AS held, coalesce(sold.places, 0)::bigint AS sold
FROM ticket_types t
LEFT JOIN held ON held.event_id = t.event_id AND held.ticket_type_id = t.id
LEFT JOIN sold ON sold.event_id = t.event_id AND sold.ticket_type_id = t.id
WHERE t.event_id IN (SELECT id FROM running);

-- name: money_by_event
-- What the payments of these events have brought, and what was given back. $1: ids.
SELECT event_id, currency, sum(amount_minor)::bigint AS taken, sum(refunded_minor)::bigint AS given_back
FROM payments
WHERE event_id = ANY($1::text[]) AND status IN ('captured', 'refund-requested', 'refunded', 'refund-failed')
GROUP BY 1, 2;
