-- What a bench checks in the rows of its events.

-- name: sold_beyond
-- $1: events, $2: the places of each. Places of live reservations beyond them.
SELECT coalesce(sum(greatest(0, sold - places)), 0)::bigint
FROM unnest($1::text[], $2::bigint[]) AS houses (event_id, places)
CROSS JOIN LATERAL (
    SELECT coalesce(sum(quantity), 0) AS sold FROM reservations
    WHERE reservations.event_id = houses.event_id AND status IN ('held', 'confirmed')
) AS live;

-- name: seats_twice
-- $1: events. Seats that more than one live reservation has, each counted once more than allowed.
SELECT count(*) - count(DISTINCT (event_id, ticket_type_id, seat))
FROM reservations, unnest(seats) AS seat
WHERE event_id = ANY($1::text[]) AND status IN ('held', 'confirmed');
