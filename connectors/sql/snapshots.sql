-- What a reservations worker loads: a partition when it is assigned, an event when it is met. Each set of queries runs
-- in one REPEATABLE READ transaction, so rows and position are of one moment.

-- name: position
-- How far the projection of this partition has come; no row before its first fact.
SELECT "offset", "index", next_offset, log_time
FROM projection_positions
WHERE consumer = $1 AND partition = $2;

-- name: event_ids
-- Every event of the partition that has rows: the created ones, and those that only exist in refusals.
SELECT id FROM events WHERE partition = $1
UNION
SELECT event_id FROM reservations WHERE partition = $1 AND reason = 'event-not-found';

-- name: hold_deadlines
-- Live holds, from the partial index alone.
SELECT event_id, expires_at FROM reservations WHERE partition = $1 AND status = 'held' ORDER BY expires_at;

-- name: event
SELECT id, organizer_id, status, title, description, category_id, venue, starts_at, ends_at, timezone, sales_open_at,
       sales_close_at, hold_ttl_s, max_tickets_per_user, created_at, published_at
FROM events WHERE id = $1;

-- name: ticket_types
SELECT id, ordinal, name, price_minor, currency, kind, rows, seats_per_row, capacity, sales_open_at, sales_close_at
FROM ticket_types WHERE event_id = $1 ORDER BY ordinal, id;

-- name: reservations
-- All of them, in the order in which they were asked for.
SELECT id, user_id, ticket_type_id, status, quantity, seats, amount_minor, currency, expires_at, fingerprint, partition,
       "offset", created_at, reason, detail, attempt_id, payment_token, payment, payment_id, refund_id
FROM reservations WHERE event_id = $1 ORDER BY "offset", id;

-- name: payments
SELECT attempt_id, reservation_id, user_id, status, reason, amount_minor, currency, payment_id, refund_id
FROM payments WHERE event_id = $1 ORDER BY attempt_id;

-- name: locked_places
SELECT place FROM observed_seat_locks WHERE event_id = $1 AND locked ORDER BY place;

-- name: former_owner
-- Which transactional id has the partition and did not give it back ('': none). Locks the row for raise_epoch.
SELECT owner FROM partition_epochs WHERE partition = $1 FOR UPDATE;

-- name: raise_epoch
-- Ownership: each take-over gets a number above all before it, however many take over at once.
INSERT INTO partition_epochs AS t (partition, epoch, owner) VALUES ($1, 1, $2)
ON CONFLICT (partition) DO UPDATE SET epoch = t.epoch + 1, owner = excluded.owner
RETURNING epoch;

-- name: give_back
-- A clean end: the owner of this epoch has nothing open. A later epoch is somebody else's and stays.
UPDATE partition_epochs SET owner = '' WHERE partition = $1 AND epoch = $2;
