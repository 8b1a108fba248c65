-- What operators and organizers see of the platform and of one event.

-- name: figures
-- The samples of a range, the oldest first. $1: the range's step, $2: after this second.
SELECT figures FROM figure_history WHERE step_s = $1::integer AND at > $2::bigint ORDER BY at;

-- name: outcomes_of_event
SELECT status, reason, count(*)::bigint AS reservations, sum(quantity)::bigint AS places
FROM reservations WHERE event_id = $1 GROUP BY 1, 2;

-- name: money_of_event
-- What payments have brought, and what was given back.
SELECT currency, sum(amount_minor)::bigint AS taken, sum(refunded_minor)::bigint AS given_back
FROM payments
WHERE event_id = $1 AND status IN ('captured', 'refund-requested', 'refunded', 'refund-failed')
GROUP BY 1 ORDER BY 1;

-- name: held_money_of_event
SELECT currency, sum(amount_minor)::bigint AS held
FROM reservations WHERE event_id = $1 AND status = 'held' GROUP BY 1 ORDER BY 1;

-- name: requests_of_event
-- Reservations of the last hour by the minute in which they were asked for. $2: since, microseconds.
SELECT created_at / 60000000 AS minute, count(*)::bigint AS asked,
       count(*) FILTER (WHERE status = 'confirmed')::bigint AS confirmed,
       count(*) FILTER (WHERE status = 'rejected')::bigint AS rejected
FROM reservations WHERE event_id = $1 AND created_at > $2::bigint GROUP BY 1 ORDER BY 1;
