-- The sandbox provider's ledger. The primary keys are the idempotency keys.

-- name: charge
-- The first request with a key decides; every later one gets the same row, and raises `requests`.
INSERT INTO sandbox.payments AS t (attempt_id, payment_id, token, outcome, reason, amount_minor, currency)
VALUES ($1::text, $2::text, $3::text, $4::text, $5::text, $6::bigint, $7::text)
ON CONFLICT (attempt_id) DO UPDATE SET requests = t.requests + 1
RETURNING payment_id, outcome, reason, amount_minor, requests;

-- name: lock_payment
-- Refunds of one payment run one after the other: `refund`, in the same transaction, then sees the earlier ones.
SELECT FROM sandbox.payments WHERE payment_id = $1::text FOR UPDATE;

-- name: refund
-- A known key gets its row again. Otherwise the payment must be captured, and enough of it must be left; if not, no row
-- comes back. $1 key, $2 payment, $3 refund id, $4 amount. Every parameter is cast: a parameter that is compared with a
-- literal would take the literal's type of 32 bits. The rest is computed as a difference, which fits into 64 bits for
-- every amount.
WITH known AS (
    UPDATE sandbox.refunds SET requests = requests + 1 WHERE idempotency_key = $1::text
    RETURNING payment_id, refund_id, amount_minor
), taken AS (
    UPDATE sandbox.payments SET refunded_minor = refunded_minor + $4::bigint
    WHERE payment_id = $2::text AND outcome = 'captured' AND $4::bigint > 0
      AND $4::bigint <= amount_minor - refunded_minor
      AND NOT EXISTS (SELECT FROM known)
    RETURNING payment_id
), made AS (
    INSERT INTO sandbox.refunds (idempotency_key, payment_id, refund_id, amount_minor)
    SELECT $1::text, payment_id, $3::text, $4::bigint FROM taken
    RETURNING payment_id, refund_id, amount_minor
)
SELECT payment_id, refund_id, amount_minor FROM known
UNION ALL
SELECT payment_id, refund_id, amount_minor FROM made;
