-- The sandbox provider's ledger. Each statement is whole by itself: the primary key is the idempotency key.

-- name: charge
-- The first request with a key decides; every later one gets the same row, and raises `requests`.
INSERT INTO sandbox.payments AS t (attempt_id, payment_id, token, outcome, reason, amount_minor, currency)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (attempt_id) DO UPDATE SET requests = t.requests + 1
RETURNING payment_id, outcome, reason, amount_minor, requests;

-- name: refund
-- At most one refund a payment, and none of a payment that does not exist or was declined: then no row comes back.
INSERT INTO sandbox.refunds AS t (idempotency_key, payment_id, refund_id, amount_minor)
SELECT $1, p.payment_id, $3, LEAST($4, p.amount_minor)
FROM sandbox.payments AS p
WHERE p.payment_id = $2 AND p.outcome = 'captured'
ON CONFLICT (idempotency_key) DO UPDATE SET requests = t.requests + 1
RETURNING refund_id, amount_minor;
