-- The sandbox provider's ledger. The primary keys are the idempotency keys.

-- name: charge
-- The first request with a key decides; every later one gets the same row, and raises `requests`.
INSERT INTO sandbox.payments AS t (attempt_id, payment_id, token, outcome, reason, amount_minor, currency)
VALUES ($1::text, $2::text, $3::text, $4::text, $5::text, $6::bigint, $7::text)
ON CONFLICT (attempt_id) DO UPDATE SET requests = t.requests + 1
RETURNING payment_id, outcome, reason, amount_minor, requests;

-- name: lock_payment
-- Refunds of one payment come one after the other: `refund`, in the same transaction, then sees what came before it.
SELECT FROM sandbox.payments WHERE payment_id = $1::text FOR UPDATE;

-- name: refund
-- A key that is known gets its row again. Else the payment has to be captured, with so much of it left; if not, no
-- row comes back. $1 key, $2 payment, $3 refund id, $4 amount. Every parameter is cast: one that is compared with a
-- literal would otherwise take the literal's type, and hold 32 bits. What is left is asked for by a difference, which
-- no amount makes too large for 64 bits.
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
