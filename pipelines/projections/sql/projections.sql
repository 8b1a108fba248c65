-- The projections dataflow's statements; those about organizers' commands are in organizing.sql. The positions
-- are those of pipelines/branches/sql/positions.sql.
-- Every statement takes arrays, one element for each row, and is idempotent: a row changes only if the change's
-- position is above the row's. So a fact that comes twice, or late, changes nothing. In statements that compare
-- positions, $1 is true only under the test switch no-dedupe. It takes the comparison out, so that a test can show that
-- the checker finds the damage.

-- name: put_reservations
-- A rejected reservation may be requested again after a day; then the new one replaces the whole row.
-- seats and ticket_ids come joined by commas: arrays of arrays would need the same length.
INSERT INTO reservations AS t (
    id, event_id, partition, "offset", user_id, ticket_type_id, status, quantity, seats, amount_minor, currency,
    expires_at, fingerprint, reason, detail, attempt_id, payment, payment_id, payment_token, refund_id, ticket_ids,
    created_at, updated_at, updated_offset, updated_index, mailbox, detail_at)
SELECT id, event_id, partition, "offset", user_id, ticket_type_id, status, quantity, string_to_array(seats, ','),
       amount_minor, currency, expires_at, fingerprint, reason, detail, attempt_id, payment, payment_id,
       payment_token, refund_id, string_to_array(ticket_ids, ','), created_at, updated_at, updated_offset,
       updated_index, mailbox, detail_at
FROM unnest(
    $2::text[], $3::text[], $4::integer[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::integer[],
    $10::text[], $11::bigint[], $12::text[], $13::bigint[], $14::bigint[], $15::text[], $16::text[], $17::text[],
    $18::text[], $19::text[], $20::text[], $21::text[], $22::text[], $23::bigint[], $24::bigint[], $25::bigint[],
    $26::integer[], $27::bigint[], $28::bigint[])
    AS c (id, event_id, partition, "offset", user_id, ticket_type_id, status, quantity, seats, amount_minor, currency,
          expires_at, fingerprint, reason, detail, attempt_id, payment, payment_id, payment_token, refund_id,
          ticket_ids, created_at, updated_at, updated_offset, updated_index, mailbox, detail_at)
ON CONFLICT (event_id, id) DO UPDATE SET
    "offset" = excluded."offset", user_id = excluded.user_id, ticket_type_id = excluded.ticket_type_id,
    status = excluded.status, quantity = excluded.quantity, seats = excluded.seats,
    amount_minor = excluded.amount_minor, currency = excluded.currency, expires_at = excluded.expires_at,
    fingerprint = excluded.fingerprint, reason = excluded.reason, detail = excluded.detail,
    attempt_id = excluded.attempt_id, payment = excluded.payment, payment_id = excluded.payment_id,
    payment_token = excluded.payment_token, refund_id = excluded.refund_id, ticket_ids = excluded.ticket_ids,
    mailbox = excluded.mailbox, detail_at = excluded.detail_at, created_at = excluded.created_at,
    updated_at = excluded.updated_at, updated_offset = excluded.updated_offset, updated_index = excluded.updated_index
WHERE $1::boolean OR (t.updated_offset, t.updated_index) < (excluded.updated_offset, excluded.updated_index);

-- name: patch_reservations
-- Changes of reservations that existed before the batch. NULL: unchanged.
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

-- name: complete_reservations
-- Columns that only few reservations need, for whole rows that put_reservations has just written at the same position.
UPDATE reservations AS t SET
    promo_code = COALESCE(c.promo_code, ''), access_code = COALESCE(c.access_code, ''),
    discount_minor = COALESCE(c.discount_minor, 0), extended = COALESCE(c.extended, false),
    warned = COALESCE(c.warned, false), kept_minor = c.kept_minor, owed_minor = c.owed_minor,
    void_places = string_to_array(c.void_places, ','),
    refunds_open = ARRAY(SELECT json_array_elements_text(c.refunds_open))
FROM unnest(
    $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::boolean[], $8::boolean[], $9::bigint[],
    $10::bigint[], $11::text[], $12::json[], $13::bigint[], $14::integer[])
    AS c (id, event_id, promo_code, access_code, discount_minor, extended, warned, kept_minor, owed_minor, void_places,
          refunds_open, updated_offset, updated_index)
WHERE t.event_id = c.event_id AND t.id = c.id
  AND ($1::boolean OR (t.updated_offset, t.updated_index) = (c.updated_offset, c.updated_index));

-- name: amend_reservations
-- patch_reservations for the few with warnings, cancelled tickets or refunds. NULL: unchanged. Ended places and keys
-- are removed; other places, keys and sums are added. A refund of a confirmed reservation does not change its payment.
-- For other reservations, the last refund makes the payment refunded, unless money is still owed.
UPDATE reservations AS t SET
    status = COALESCE(c.status, t.status), reason = COALESCE(c.reason, t.reason),
    attempt_id = COALESCE(c.attempt_id, t.attempt_id), payment_id = COALESCE(c.payment_id, t.payment_id),
    payment_token = COALESCE(c.payment_token, t.payment_token), refund_id = COALESCE(c.refund_id, t.refund_id),
    payment = CASE WHEN c.refund_made AND n.payment = 'refund-requested' AND cardinality(n.refunds_open) = 0
                   THEN CASE WHEN t.owed_minor + c.owed_minor > 0 THEN 'refund-failed' ELSE 'refunded' END
                   ELSE n.payment END,
    ticket_ids = ARRAY(SELECT one FROM unnest(COALESCE(string_to_array(c.ticket_ids, ','), t.ticket_ids))
                       WITH ORDINALITY AS u (one, place)
                       WHERE one <> ALL (string_to_array(c.tickets_gone, ',')) ORDER BY place),
    seats = ARRAY(SELECT one FROM unnest(t.seats) WITH ORDINALITY AS u (one, place)
                  WHERE one <> ALL (string_to_array(c.seats_gone, ',')) ORDER BY place),
    quantity = t.quantity - c.quantity_less, amount_minor = t.amount_minor - c.amount_less,
    expires_at = COALESCE(c.expires_at, t.expires_at), promo_code = COALESCE(c.promo_code, t.promo_code),
    access_code = COALESCE(c.access_code, t.access_code),
    discount_minor = COALESCE(c.discount_minor, t.discount_minor),
    extended = COALESCE(c.extended, t.extended), warned = COALESCE(c.warned, t.warned),
    kept_minor = t.kept_minor + c.kept_minor, owed_minor = t.owed_minor + c.owed_minor,
    void_places = t.void_places || string_to_array(c.void_places, ','),
    refunds_open = n.refunds_open,
    updated_at = c.updated_at, updated_offset = c.updated_offset, updated_index = c.updated_index
FROM unnest(
    $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],
    $11::text[], $12::bigint[], $13::bigint[], $14::integer[], $15::bigint[], $16::text[], $17::text[], $18::bigint[],
    $19::boolean[], $20::boolean[], $21::bigint[], $22::bigint[], $23::text[], $24::json[], $25::json[], $26::text[],
    $27::text[], $28::integer[], $29::bigint[], $30::boolean[], $31::boolean[])
    AS c (id, event_id, status, reason, attempt_id, payment, payment_id, payment_token, refund_id, ticket_ids,
          updated_at, updated_offset, updated_index, expires_at, promo_code, access_code, discount_minor, extended,
          warned, kept_minor, owed_minor, void_places, refunds_open, refunds_gone, seats_gone, tickets_gone,
          quantity_less, amount_less, refund_asked, refund_made)
JOIN reservations AS r ON r.event_id = c.event_id AND r.id = c.id
CROSS JOIN LATERAL (
    SELECT CASE WHEN c.refund_asked AND r.status <> 'confirmed' THEN 'refund-requested'
                ELSE COALESCE(c.payment, r.payment) END AS payment,
           ARRAY(SELECT one FROM unnest(r.refunds_open) WITH ORDINALITY AS u (one, place)
                 WHERE one <> ALL (ARRAY(SELECT json_array_elements_text(c.refunds_gone))) ORDER BY place)
           || ARRAY(SELECT json_array_elements_text(c.refunds_open)) AS refunds_open
) AS n
WHERE t.event_id = c.event_id AND t.id = c.id
  AND ($1::boolean OR (t.updated_offset, t.updated_index) < (c.updated_offset, c.updated_index));

-- name: put_payments
INSERT INTO payments AS t (
    event_id, attempt_id, partition, reservation_id, user_id, status, reason, amount_minor, currency, payment_token,
    payment_id, updated_offset, updated_index)
SELECT * FROM unnest(
    $2::text[], $3::text[], $4::integer[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bigint[], $10::text[],
    $11::text[], $12::text[], $13::bigint[], $14::integer[])
ON CONFLICT (event_id, attempt_id) DO UPDATE SET
    status = excluded.status, reason = excluded.reason, amount_minor = excluded.amount_minor,
    currency = excluded.currency, payment_token = excluded.payment_token, payment_id = excluded.payment_id,
    refund_id = excluded.refund_id, refunded_minor = excluded.refunded_minor,
    updated_offset = excluded.updated_offset, updated_index = excluded.updated_index
WHERE $1::boolean OR (t.updated_offset, t.updated_index) < (excluded.updated_offset, excluded.updated_index);

-- name: patch_payments
-- An attempt is refused only while it waits for the provider. A charged attempt is refunded instead.
UPDATE payments AS t SET
    status = COALESCE(c.status, t.status), reason = COALESCE(c.reason, t.reason),
    payment_id = COALESCE(c.payment_id, t.payment_id),
    updated_offset = c.updated_offset, updated_index = c.updated_index
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::integer[])
    AS c (event_id, attempt_id, status, reason, payment_id, updated_offset, updated_index)
WHERE t.event_id = c.event_id AND t.attempt_id = c.attempt_id
  AND (c.status <> 'refused' OR t.status = 'requested')
  AND ($1::boolean OR (t.updated_offset, t.updated_index) < (c.updated_offset, c.updated_index));

-- name: put_refunds
INSERT INTO refunds AS t (
    event_id, refund_key, partition, reservation_id, user_id, payment_id, attempt_id, status, amount_minor, currency,
    reason, refund_id, refunded_minor, requested_at, refunded_at, origin, failure, updated_offset, updated_index)
SELECT * FROM unnest(
    $2::text[], $3::text[], $4::integer[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bigint[],
    $11::text[], $12::text[], $13::text[], $14::bigint[], $15::bigint[], $16::bigint[], $17::text[], $18::text[],
    $19::bigint[], $20::integer[])
ON CONFLICT (event_id, refund_key) DO UPDATE SET
    reservation_id = excluded.reservation_id, user_id = excluded.user_id, payment_id = excluded.payment_id,
    attempt_id = excluded.attempt_id, status = excluded.status, amount_minor = excluded.amount_minor,
    currency = excluded.currency, reason = excluded.reason, refund_id = excluded.refund_id,
    refunded_minor = excluded.refunded_minor, requested_at = excluded.requested_at,
    refunded_at = excluded.refunded_at, origin = excluded.origin, failure = excluded.failure,
    updated_offset = excluded.updated_offset, updated_index = excluded.updated_index
WHERE $1::boolean OR (t.updated_offset, t.updated_index) < (excluded.updated_offset, excluded.updated_index);

-- name: patch_refunds
UPDATE refunds AS t SET
    status = c.status, refund_id = c.refund_id, refunded_minor = c.refunded_minor, refunded_at = c.refunded_at,
    failure = c.failure, updated_offset = c.updated_offset, updated_index = c.updated_index
FROM unnest(
    $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::text[], $9::bigint[],
    $10::integer[])
    AS c (event_id, refund_key, status, refund_id, refunded_minor, refunded_at, failure, updated_offset, updated_index)
WHERE t.event_id = c.event_id AND t.refund_key = c.refund_key
  AND ($1::boolean OR (t.updated_offset, t.updated_index) < (c.updated_offset, c.updated_index));

-- name: put_disputes
-- The taken amounts are added; the opening time stays.
INSERT INTO disputes AS t (
    event_id, dispute_id, partition, reservation_id, user_id, payment_id, status, amount_minor, currency, reason,
    charged_minor, opened_at, closed_at, updated_offset, updated_index)
SELECT * FROM unnest(
    $2::text[], $3::text[], $4::integer[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bigint[], $10::text[],
    $11::text[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::integer[])
ON CONFLICT (event_id, dispute_id) DO UPDATE SET
    status = excluded.status, amount_minor = excluded.amount_minor, currency = excluded.currency,
    reason = excluded.reason, charged_minor = t.charged_minor + excluded.charged_minor,
    opened_at = CASE WHEN t.opened_at > 0 THEN t.opened_at ELSE excluded.opened_at END,
    closed_at = excluded.closed_at, updated_offset = excluded.updated_offset, updated_index = excluded.updated_index
WHERE $1::boolean OR (t.updated_offset, t.updated_index) < (excluded.updated_offset, excluded.updated_index);

-- name: settle_payments
-- A payment's refunds have changed. Its own columns follow from them, so the statement is idempotent by itself.
UPDATE payments AS t SET
    status = CASE WHEN r.open THEN 'refund-requested'
                  WHEN r.failed AND r.refunded_minor < t.amount_minor THEN 'refund-failed'
                  WHEN r.refunded_minor > 0 THEN 'refunded'
                  ELSE t.status END,
    refunded_minor = r.refunded_minor, refund_id = COALESCE(r.refund_id, ''),
    updated_offset = CASE WHEN (t.updated_offset, t.updated_index) < (c.updated_offset, c.updated_index)
                          THEN c.updated_offset ELSE t.updated_offset END,
    updated_index = CASE WHEN (t.updated_offset, t.updated_index) < (c.updated_offset, c.updated_index)
                         THEN c.updated_index ELSE t.updated_index END
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::integer[])
    AS c (event_id, payment_id, updated_offset, updated_index)
CROSS JOIN LATERAL (
    SELECT bool_or(status = 'requested') AS open, bool_or(status = 'failed') AS failed,
           LEAST(sum(refunded_minor), 9223372036854775807)::bigint AS refunded_minor,
           (array_agg(refund_id ORDER BY updated_offset DESC, updated_index DESC)
            FILTER (WHERE status = 'refunded'))[1] AS refund_id
    FROM refunds WHERE event_id = c.event_id AND payment_id = c.payment_id
    HAVING count(*) > 0
) AS r
WHERE t.event_id = c.event_id AND t.payment_id = c.payment_id AND t.payment_id <> '';

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
-- Tickets as issued. Later changes are patches, also in the same batch.
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

-- name: patch_tickets
-- Handed on, scanned, cancelled singly. NULL: unchanged. has_history false: only a ticket that was handed on has any.
UPDATE tickets AS t SET
    user_id = COALESCE(c.user_id, t.user_id),
    version = COALESCE(c.version, t.version) + CASE WHEN c.void AND t.status <> 'void' THEN 1 ELSE 0 END,
    status = CASE WHEN c.void THEN 'void' ELSE t.status END,
    transferred_at = COALESCE(c.transferred_at, t.transferred_at),
    checked_in_at = COALESCE(c.checked_in_at, t.checked_in_at), gate = COALESCE(c.gate, t.gate),
    scanner = COALESCE(c.scanner, t.scanner), checked_in_by = COALESCE(c.checked_in_by, t.checked_in_by),
    has_history = COALESCE(c.has_history OR COALESCE(c.version, t.version) > 1, t.has_history),
    updated_offset = c.updated_offset, updated_index = c.updated_index
FROM unnest(
    $2::text[], $3::text[], $4::integer[], $5::bigint[], $6::bigint[], $7::text[], $8::text[], $9::text[],
    $10::boolean[], $11::boolean[], $12::bigint[], $13::integer[])
    AS c (id, user_id, version, transferred_at, checked_in_at, gate, scanner, checked_in_by, has_history, void,
          updated_offset, updated_index)
WHERE t.id = c.id AND ($1::boolean OR (t.updated_offset, t.updated_index) < (c.updated_offset, c.updated_index));

-- name: void_tickets
-- All tickets of a cancelled reservation. A raised version makes their signed codes worthless. A void ticket stays
-- void, so this compares no position, and may come after a patch of the same batch.
UPDATE tickets AS t SET
    status = 'void', version = t.version + 1,
    updated_offset = CASE WHEN (t.updated_offset, t.updated_index) < (c.updated_offset, c.updated_index)
                          THEN c.updated_offset ELSE t.updated_offset END,
    updated_index = CASE WHEN (t.updated_offset, t.updated_index) < (c.updated_offset, c.updated_index)
                         THEN c.updated_index ELSE t.updated_index END
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::integer[])
    AS c (event_id, reservation_id, updated_offset, updated_index)
WHERE t.event_id = c.event_id AND t.reservation_id = c.reservation_id AND t.status <> 'void';

-- name: put_check_ins
-- A scan never changes.
INSERT INTO check_ins (
    event_id, "offset", "index", partition, kind, reservation_id, ticket_id, user_id, seat, by_user_id, reason, gate,
    scanner, scanned_at, first_scanned_at, first_gate, first_scanner, decided_at)
SELECT * FROM unnest(
    $1::text[], $2::bigint[], $3::integer[], $4::integer[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
    $10::text[], $11::text[], $12::text[], $13::text[], $14::bigint[], $15::bigint[], $16::text[], $17::text[],
    $18::bigint[])
ON CONFLICT (event_id, "offset", "index") DO NOTHING;

-- name: put_waitlist_entries
INSERT INTO waitlist_entries AS t (
    event_id, id, partition, "offset", "index", user_id, ticket_type_id, quantity, status, reservation_id, expires_at,
    reason, created_at, updated_at, updated_offset, updated_index, mailbox)
SELECT * FROM unnest(
    $2::text[], $3::text[], $4::integer[], $5::bigint[], $6::integer[], $7::text[], $8::text[], $9::integer[],
    $10::text[], $11::text[], $12::bigint[], $13::text[], $14::bigint[], $15::bigint[], $16::bigint[], $17::integer[],
    $18::bigint[])
ON CONFLICT (event_id, id) DO UPDATE SET
    "offset" = excluded."offset", "index" = excluded."index", user_id = excluded.user_id,
    ticket_type_id = excluded.ticket_type_id, quantity = excluded.quantity, status = excluded.status,
    reservation_id = excluded.reservation_id, expires_at = excluded.expires_at, reason = excluded.reason,
    mailbox = excluded.mailbox, created_at = excluded.created_at, updated_at = excluded.updated_at,
    updated_offset = excluded.updated_offset, updated_index = excluded.updated_index
WHERE $1::boolean OR (t.updated_offset, t.updated_index) < (excluded.updated_offset, excluded.updated_index);

-- name: patch_waitlist_entries
UPDATE waitlist_entries AS t SET
    status = COALESCE(c.status, t.status), reservation_id = COALESCE(c.reservation_id, t.reservation_id),
    expires_at = COALESCE(c.expires_at, t.expires_at), reason = COALESCE(c.reason, t.reason),
    updated_at = c.updated_at, updated_offset = c.updated_offset, updated_index = c.updated_index
FROM unnest(
    $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::bigint[], $9::bigint[],
    $10::integer[])
    AS c (event_id, id, status, reservation_id, expires_at, reason, updated_at, updated_offset, updated_index)
WHERE t.event_id = c.event_id AND t.id = c.id
  AND ($1::boolean OR (t.updated_offset, t.updated_index) < (c.updated_offset, c.updated_index));

-- name: put_facts_set_aside
-- Facts that could not be written. $1 event, $2 partition, $3 offset, $4 index, $5 type, $6 error.
INSERT INTO facts_set_aside (event_id, partition, "offset", "index", fact, error)
SELECT * FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::integer[], $5::text[], $6::text[])
ON CONFLICT (partition, "offset", "index") DO NOTHING;
