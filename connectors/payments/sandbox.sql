-- The sandbox provider's ledger. The primary keys are the idempotency keys.

-- name: charge
-- The first request with a key decides; every later one gets the same row, and raises `requests`.
INSERT INTO sandbox.payments AS t (attempt_id, payment_id, token, outcome, reason, amount_minor, currency)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (attempt_id) DO UPDATE SET requests = t.requests + 1
RETURNING payment_id, outcome, reason, amount_minor, requests;

-- name: lock_payment
-- Refunds of one payment come one after the other: `refund`, in the same transaction, then sees what came before it.
SELECT FROM sandbox.payments WHERE payment_id = $1 FOR UPDATE;

-- name: refund
-- A key that is known gets its row again. Else the payment has to be captured, with so much of it left; if not, no
-- row comes back. $1 key, $2 payment, $3 refund id, $4 amount.
WITH known AS (
    UPDATE sandbox.refunds SET requests = requests + 1 WHERE idempotency_key = $1
    RETURNING payment_id, refund_id, amount_minor
), taken AS (
    UPDATE sandbox.payments SET refunded_minor = refunded_minor + $4
    WHERE payment_id = $2 AND outcome = 'captured' AND $4 > 0 AND refunded_minor + $4 <= amount_minor
      AND NOT EXISTS (SELECT FROM known)
    RETURNING payment_id
), made AS (
    INSERT INTO sandbox.refunds (idempotency_key, payment_id, refund_id, amount_minor)
    SELECT $1, payment_id, $3, $4 FROM taken
    RETURNING payment_id, refund_id, amount_minor
)
SELECT payment_id, refund_id, amount_minor FROM known
UNION ALL
SELECT payment_id, refund_id, amount_minor FROM made;
