-- What the projections dataflow writes. One batch is one transaction: lock_positions, the rows, advance.
-- Every statement takes arrays, one element a row, and is idempotent: a row changes only when the change's position
-- is above the row's, so a fact that comes twice, or late, changes nothing.
-- $1 of the statements that compare positions is true only under the test switch no-dedupe, which takes the
-- comparison out so that the checker can show it finds the damage.

-- name: adopt_positions
-- A row for each partition, so that there is something to lock.
INSERT INTO projection_positions (consumer, partition, "offset", "index", next_offset, log_time)
SELECT $1, p.partition, -1, -1, -1, 0 FROM unnest($2::integer[]) AS p (partition)
ON CONFLICT (consumer, partition) DO NOTHING;

-- name: lock_positions
-- Whoever writes a partition holds its position row until the commit. So a worker that was paused and has lost the
-- partition finds that the position has moved on, and stops, whatever it still has in hand.
SELECT partition, "offset", "index", next_offset, log_time
FROM projection_positions
WHERE consumer = $1 AND partition = ANY ($2::integer[])
ORDER BY partition
FOR UPDATE;

-- name: advance_positions
-- Only ever forward.
UPDATE projection_positions AS t
SET "offset" = c."offset", "index" = c."index", next_offset = c.next_offset, log_time = c.log_time
FROM unnest($2::integer[], $3::bigint[], $4::integer[], $5::bigint[], $6::bigint[])
    AS c (partition, "offset", "index", next_offset, log_time)
WHERE t.consumer = $1 AND t.partition = c.partition
  AND (t."offset", t."index", t.next_offset) < (c."offset", c."index", c.next_offset);

-- name: put_events
INSERT INTO events AS t (
    id, partition, organizer_id, status, title, description, category_id, venue, starts_at, ends_at, timezone,
    sales_open_at, sales_close_at, hold_ttl_s, max_tickets_per_user, created_at, published_at,
    updated_offset, updated_index)
SELECT * FROM unnest(
    $2::text[], $3::integer[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bigint[],
    $11::bigint[], $12::text[], $13::bigint[], $14::bigint[], $15::integer[], $16::integer[], $17::bigint[],
    $18::bigint[], $19::bigint[], $20::integer[])
ON CONFLICT (id) DO UPDATE SET
    organizer_id = excluded.organizer_id, status = excluded.status, title = excluded.title,
    description = excluded.description, category_id = excluded.category_id, venue = excluded.venue,
    starts_at = excluded.starts_at, ends_at = excluded.ends_at, timezone = excluded.timezone,
    sales_open_at = excluded.sales_open_at, sales_close_at = excluded.sales_close_at,
    hold_ttl_s = excluded.hold_ttl_s, max_tickets_per_user = excluded.max_tickets_per_user,
    created_at = excluded.created_at, published_at = excluded.published_at,
    updated_offset = excluded.updated_offset, updated_index = excluded.updated_index
WHERE $1::boolean OR (t.updated_offset, t.updated_index) < (excluded.updated_offset, excluded.updated_index);

-- name: patch_events
-- NULL: as it is.
UPDATE events AS t SET
    status = COALESCE(c.status, t.status), title = COALESCE(c.title, t.title),
    description = COALESCE(c.description, t.description), category_id = COALESCE(c.category_id, t.category_id),
    venue = COALESCE(c.venue, t.venue), starts_at = COALESCE(c.starts_at, t.starts_at),
    ends_at = COALESCE(c.ends_at, t.ends_at), timezone = COALESCE(c.timezone, t.timezone),
    sales_open_at = COALESCE(c.sales_open_at, t.sales_open_at),
    sales_close_at = COALESCE(c.sales_close_at, t.sales_close_at),
    hold_ttl_s = COALESCE(c.hold_ttl_s, t.hold_ttl_s),
    max_tickets_per_user = COALESCE(c.max_tickets_per_user, t.max_tickets_per_user),
    published_at = COALESCE(c.published_at, t.published_at),
    updated_offset = c.updated_offset, updated_index = c.updated_index
FROM unnest(
    $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::bigint[], $10::text[],
    $11::bigint[], $12::bigint[], $13::integer[], $14::integer[], $15::bigint[], $16::bigint[], $17::integer[])
    AS c (id, status, title, description, category_id, venue, starts_at, ends_at, timezone, sales_open_at,
          sales_close_at, hold_ttl_s, max_tickets_per_user, published_at, updated_offset, updated_index)
WHERE t.id = c.id
  AND ($1::boolean OR (t.updated_offset, t.updated_index) < (c.updated_offset, c.updated_index));

-- name: put_ticket_types
INSERT INTO ticket_types AS t (
    id, event_id, partition, ordinal, name, price_minor, currency, kind, rows, seats_per_row, capacity, sales_open_at,
    sales_close_at, updated_offset, updated_index)
SELECT * FROM unnest(
    $2::text[], $3::text[], $4::integer[], $5::integer[], $6::text[], $7::bigint[], $8::text[], $9::text[],
    $10::integer[], $11::integer[], $12::integer[], $13::bigint[], $14::bigint[], $15::bigint[], $16::integer[])
ON CONFLICT (event_id, id) DO UPDATE SET
    ordinal = excluded.ordinal, name = excluded.name, price_minor = excluded.price_minor,
    currency = excluded.currency, kind = excluded.kind, rows = excluded.rows,
    seats_per_row = excluded.seats_per_row, capacity = excluded.capacity, sales_open_at = excluded.sales_open_at,
    sales_close_at = excluded.sales_close_at,
    updated_offset = excluded.updated_offset, updated_index = excluded.updated_index
WHERE $1::boolean OR (t.updated_offset, t.updated_index) < (excluded.updated_offset, excluded.updated_index);

-- name: put_reservations
-- A refused reservation may be asked for anew after a day; then the whole row is that of the new one.
-- seats and ticket_ids come joined by commas: arrays of arrays would have to be of one length.
INSERT INTO reservations AS t (
    id, event_id, partition, "offset", user_id, ticket_type_id, status, quantity, seats, amount_minor, currency,
    expires_at, fingerprint, reason, detail, attempt_id, payment, payment_id, payment_token, refund_id, ticket_ids,
    created_at, updated_at, updated_offset, updated_index)
SELECT id, event_id, partition, "offset", user_id, ticket_type_id, status, quantity, string_to_array(seats, ','),
       amount_minor, currency, expires_at, fingerprint, reason, detail, attempt_id, payment, payment_id,
       payment_token, refund_id, string_to_array(ticket_ids, ','), created_at, updated_at, updated_offset,
       updated_index
FROM unnest(
    $2::text[], $3::text[], $4::integer[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::integer[],
    $10::text[], $11::bigint[], $12::text[], $13::bigint[], $14::bigint[], $15::text[], $16::text[], $17::text[],
    $18::text[], $19::text[], $20::text[], $21::text[], $22::text[], $23::bigint[], $24::bigint[], $25::bigint[],
    $26::integer[])
    AS c (id, event_id, partition, "offset", user_id, ticket_type_id, status, quantity, seats, amount_minor, currency,
          expires_at, fingerprint, reason, detail, attempt_id, payment, payment_id, payment_token, refund_id,
          ticket_ids, created_at, updated_at, updated_offset, updated_index)
ON CONFLICT (event_id, id) DO UPDATE SET
    "offset" = excluded."offset", user_id = excluded.user_id, ticket_type_id = excluded.ticket_type_id,
    status = excluded.status, quantity = excluded.quantity, seats = excluded.seats,
    amount_minor = excluded.amount_minor, currency = excluded.currency, expires_at = excluded.expires_at,
    fingerprint = excluded.fingerprint, reason = excluded.reason, detail = excluded.detail,
    attempt_id = excluded.attempt_id, payment = excluded.payment, payment_id = excluded.payment_id,
    payment_token = excluded.payment_token, refund_id = excluded.refund_id, ticket_ids = excluded.ticket_ids,
    created_at = excluded.created_at, updated_at = excluded.updated_at,
    updated_offset = excluded.updated_offset, updated_index = excluded.updated_index
WHERE $1::boolean OR (t.updated_offset, t.updated_index) < (excluded.updated_offset, excluded.updated_index);

-- name: patch_reservations
-- What happened to reservations that were there before the batch. NULL: as it is.
UPDATE reservations AS t SET
    status = COALESCE(c.status, t.status), reason = COALESCE(c.reason, t.reason),
    attempt_id = COALESCE(c.attempt_id, t.attempt_id), payment = COALESCE(c.payment, t.payment),
    payment_id = COALESCE(c.payment_id, t.payment_id), payment_token = COALESCE(c.payment_token, t.payment_token),
    refund_id = COALESCE(c.refund_id, t.refund_id),
    ticket_ids = COALESCE(string_to_array(c.ticket_ids, ','), t.ticket_ids),
    updated_at = c.updated_at, updated_offset = c.updated_offset, updated_index = c.updated_index
FROM unnest(
    $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],
    $11::text[], $12::bigint[], $13::bigint[], $14::integer[])
    AS c (id, event_id, status, reason, attempt_id, payment, payment_id, payment_token, refund_id, ticket_ids,
          updated_at, updated_offset, updated_index)
WHERE t.event_id = c.event_id AND t.id = c.id
  AND ($1::boolean OR (t.updated_offset, t.updated_index) < (c.updated_offset, c.updated_index));

-- name: put_payments
INSERT INTO payments AS t (
    event_id, attempt_id, partition, reservation_id, user_id, status, reason, amount_minor, currency, payment_token,
    payment_id, refund_id, updated_offset, updated_index)
SELECT * FROM unnest(
    $2::text[], $3::text[], $4::integer[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bigint[], $10::text[],
    $11::text[], $12::text[], $13::text[], $14::bigint[], $15::integer[])
ON CONFLICT (event_id, attempt_id) DO UPDATE SET
    status = excluded.status, reason = excluded.reason, amount_minor = excluded.amount_minor,
    currency = excluded.currency, payment_token = excluded.payment_token, payment_id = excluded.payment_id,
    refund_id = excluded.refund_id,
    updated_offset = excluded.updated_offset, updated_index = excluded.updated_index
WHERE $1::boolean OR (t.updated_offset, t.updated_index) < (excluded.updated_offset, excluded.updated_index);

-- name: patch_payments
-- An attempt is refused only while it waits for the provider; what was charged goes the way of a refund.
UPDATE payments AS t SET
    status = COALESCE(c.status, t.status), reason = COALESCE(c.reason, t.reason),
    payment_id = COALESCE(c.payment_id, t.payment_id),
    updated_offset = c.updated_offset, updated_index = c.updated_index
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::integer[])
    AS c (event_id, attempt_id, status, reason, payment_id, updated_offset, updated_index)
WHERE t.event_id = c.event_id AND t.attempt_id = c.attempt_id
  AND (c.status <> 'refused' OR t.status = 'requested')
  AND ($1::boolean OR (t.updated_offset, t.updated_index) < (c.updated_offset, c.updated_index));

-- name: refund_payments
-- A refund is final and comes once: a payment that has one is left as it is.
UPDATE payments AS t SET
    status = c.status, refund_id = c.refund_id,
    updated_offset = GREATEST(t.updated_offset, c.updated_offset),
    updated_index = CASE WHEN c.updated_offset > t.updated_offset THEN c.updated_index ELSE t.updated_index END
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::integer[])
    AS c (event_id, payment_id, status, refund_id, updated_offset, updated_index)
WHERE t.event_id = c.event_id AND t.payment_id = c.payment_id AND t.payment_id <> '' AND t.refund_id = '';

-- name: put_seat_claims
-- Called twice: with the claims that ended, then with the live ones, so that a seat may change hands within a batch.
-- A seat that would then have two live claims violates seat_claims_live: the tripwire.
INSERT INTO seat_claims AS t (
    event_id, ticket_type_id, seat, reservation_id, partition, status, updated_offset, updated_index)
SELECT * FROM unnest(
    $2::text[], $3::text[], $4::text[], $5::text[], $6::integer[], $7::text[], $8::bigint[], $9::integer[])
ON CONFLICT (event_id, ticket_type_id, seat, reservation_id) DO UPDATE SET
    status = excluded.status, updated_offset = excluded.updated_offset, updated_index = excluded.updated_index
WHERE $1::boolean OR (t.updated_offset, t.updated_index) < (excluded.updated_offset, excluded.updated_index);

-- name: put_tickets
INSERT INTO tickets AS t (
    id, event_id, partition, reservation_id, user_id, ticket_type_id, seat, ordinal, status, version, issued_at,
    updated_offset, updated_index)
SELECT * FROM unnest(
    $2::text[], $3::text[], $4::integer[], $5::text[], $6::text[], $7::text[], $8::text[], $9::integer[],
    $10::text[], $11::integer[], $12::bigint[], $13::bigint[], $14::integer[])
ON CONFLICT (id) DO UPDATE SET
    status = excluded.status, version = excluded.version,
    updated_offset = excluded.updated_offset, updated_index = excluded.updated_index
WHERE $1::boolean OR (t.updated_offset, t.updated_index) < (excluded.updated_offset, excluded.updated_index);

-- name: void_tickets
-- All tickets of a cancelled reservation; a raised version makes their signed codes worthless. Once void, void.
UPDATE tickets AS t SET
    status = 'void', version = t.version + 1, updated_offset = c.updated_offset, updated_index = c.updated_index
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::integer[])
    AS c (event_id, reservation_id, updated_offset, updated_index)
WHERE t.event_id = c.event_id AND t.reservation_id = c.reservation_id AND t.status <> 'void'
  AND (t.updated_offset, t.updated_index) < (c.updated_offset, c.updated_index);

-- name: put_seat_locks
INSERT INTO observed_seat_locks AS t (event_id, place, partition, locked, updated_offset, updated_index)
SELECT * FROM unnest($2::text[], $3::text[], $4::integer[], $5::boolean[], $6::bigint[], $7::integer[])
ON CONFLICT (event_id, place) DO UPDATE SET
    locked = excluded.locked, updated_offset = excluded.updated_offset, updated_index = excluded.updated_index
WHERE $1::boolean OR (t.updated_offset, t.updated_index) < (excluded.updated_offset, excluded.updated_index);
