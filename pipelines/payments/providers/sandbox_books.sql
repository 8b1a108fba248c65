-- The sandbox bank's books, page by page, and the bank's own actions. Times are seconds; $1 and $2 are from and until,
-- ($3, $4) is the end of the last page, $5 the size of a page.

-- name: payments
SELECT payment_id, attempt_id, amount_minor, currency, extract(epoch FROM created_at)::bigint AS created,
       created_at::text AS place
FROM sandbox.payments
WHERE outcome = 'captured' AND created_at >= to_timestamp($1::bigint) AND created_at < to_timestamp($2::bigint)
  AND (created_at, payment_id) > ($3::text::timestamptz, $4::text)
ORDER BY created_at, payment_id LIMIT $5::integer;

-- name: refunds
SELECT refund_id, r.payment_id, idempotency_key, origin, r.status, r.amount_minor, currency,
       extract(epoch FROM r.created_at)::bigint AS created, r.created_at::text AS place
FROM sandbox.refunds AS r JOIN sandbox.payments AS p ON p.payment_id = r.payment_id
WHERE r.created_at >= to_timestamp($1::bigint) AND r.created_at < to_timestamp($2::bigint)
  AND (r.created_at, refund_id) > ($3::text::timestamptz, $4::text)
ORDER BY r.created_at, refund_id LIMIT $5::integer;

-- name: disputes
SELECT dispute_id, d.payment_id, d.status, d.reason, d.amount_minor, currency,
       extract(epoch FROM d.created_at)::bigint AS created, d.created_at::text AS place
FROM sandbox.disputes AS d JOIN sandbox.payments AS p ON p.payment_id = d.payment_id
WHERE d.created_at >= to_timestamp($1::bigint) AND d.created_at < to_timestamp($2::bigint)
  AND (d.created_at, dispute_id) > ($3::text::timestamptz, $4::text)
ORDER BY d.created_at, dispute_id LIMIT $5::integer;

-- name: payment
SELECT payment_id, attempt_id, amount_minor, currency, extract(epoch FROM created_at)::bigint AS created
FROM sandbox.payments WHERE payment_id = $1 AND outcome = 'captured';

-- name: refund
SELECT refund_id, r.payment_id, idempotency_key, origin, r.status, r.amount_minor, currency,
       extract(epoch FROM r.created_at)::bigint AS created
FROM sandbox.refunds AS r JOIN sandbox.payments AS p ON p.payment_id = r.payment_id WHERE refund_id = $1;

-- name: dispute
SELECT dispute_id, d.payment_id, d.status, d.reason, d.amount_minor, currency,
       extract(epoch FROM d.created_at)::bigint AS created
FROM sandbox.disputes AS d JOIN sandbox.payments AS p ON p.payment_id = d.payment_id WHERE dispute_id = $1;

-- name: left_of
-- Locks the payment: its refunds run one after the other.
SELECT amount_minor - refunded_minor FROM sandbox.payments
WHERE payment_id = $1 AND outcome = 'captured' FOR UPDATE;

-- name: refund_here
-- $1 payment, $2 refund id and key, $3 amount. No row if less than the amount is left.
WITH taken AS (
    UPDATE sandbox.payments SET refunded_minor = refunded_minor + $3::bigint
    WHERE payment_id = $1 AND outcome = 'captured' AND $3::bigint > 0 AND refunded_minor + $3::bigint <= amount_minor
    RETURNING payment_id
)
INSERT INTO sandbox.refunds (idempotency_key, payment_id, refund_id, amount_minor, origin)
SELECT $2, payment_id, $2, $3::bigint, 'provider' FROM taken
RETURNING refund_id;

-- name: fail_refund
WITH failed AS (
    UPDATE sandbox.refunds SET status = 'failed' WHERE refund_id = $1 AND status = 'succeeded'
    RETURNING payment_id, amount_minor
)
UPDATE sandbox.payments AS p SET refunded_minor = refunded_minor - failed.amount_minor
FROM failed WHERE p.payment_id = failed.payment_id
RETURNING p.payment_id;

-- name: put_dispute
INSERT INTO sandbox.disputes AS t (dispute_id, payment_id, status, reason, amount_minor)
SELECT $2, payment_id, $3, 'fraudulent', COALESCE($4::bigint, amount_minor) FROM sandbox.payments
WHERE payment_id = $1 AND outcome = 'captured'
ON CONFLICT (dispute_id) DO UPDATE SET status = excluded.status
RETURNING dispute_id;
