-- What the rows say of payments, refunds and disputes, to compare with a provider's books.

-- name: remember
-- What the books have, so that what they lack can be asked for afterwards: on disk, however much it is.
CREATE TEMPORARY TABLE reconciled (kind text, id text, PRIMARY KEY (kind, id));

-- name: seen
INSERT INTO reconciled SELECT $1::text, unnest($2::text[]) ON CONFLICT DO NOTHING;

-- name: payments
SELECT payment_id, attempt_id, event_id, reservation_id, amount_minor, currency, status
FROM payments WHERE payment_id = ANY ($1::text[]) AND payment_id <> '';

-- name: attempts
-- Of those that no payment is on record for. $2 is "" where a provider does not know the event.
SELECT payment_id, attempt_id, event_id, reservation_id, amount_minor, currency, status
FROM payments WHERE attempt_id = $1 AND ($2::text = '' OR event_id = $2::text) LIMIT 1;

-- name: refunds
SELECT r.event_id, r.reservation_id, r.payment_id, r.refund_key, r.refund_id, r.status, r.amount_minor,
       r.refunded_minor, r.currency, r.origin
FROM payments AS p JOIN refunds AS r ON r.event_id = p.event_id AND r.payment_id = p.payment_id
WHERE p.payment_id = ANY ($1::text[]) AND p.payment_id <> '';

-- name: disputes
SELECT d.event_id, d.reservation_id, d.payment_id, d.dispute_id, d.status, d.amount_minor, d.currency
FROM payments AS p JOIN disputes AS d ON d.event_id = p.event_id AND d.payment_id = p.payment_id
WHERE p.payment_id = ANY ($1::text[]) AND p.payment_id <> '';

-- name: unseen_payments
-- $1 and $2 are from and until, in microseconds.
SELECT p.payment_id, p.event_id, p.reservation_id, p.amount_minor, p.currency, p.status
FROM payments AS p JOIN reservations AS r ON r.event_id = p.event_id AND r.id = p.reservation_id
WHERE p.payment_id <> '' AND r.created_at < $2::bigint AND r.updated_at >= $1::bigint
  AND NOT EXISTS (SELECT FROM reconciled WHERE kind = 'payment' AND id = p.payment_id);

-- name: unseen_refunds
SELECT refund_id, payment_id, event_id, reservation_id, refunded_minor, currency, status
FROM refunds
WHERE status = 'refunded' AND refunded_at >= $1::bigint AND refunded_at < $2::bigint
  AND NOT EXISTS (SELECT FROM reconciled WHERE kind = 'refund' AND id = refund_id);

-- name: unseen_disputes
SELECT dispute_id, payment_id, event_id, reservation_id, amount_minor, currency, status
FROM disputes
WHERE GREATEST(opened_at, closed_at) >= $1::bigint AND GREATEST(opened_at, closed_at) < $2::bigint
  AND NOT EXISTS (SELECT FROM reconciled WHERE kind = 'dispute' AND id = dispute_id);
