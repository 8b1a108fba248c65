-- A payment may be refunded in parts, each under a key of its own; never more comes back than was captured.
ALTER TABLE sandbox.refunds DROP CONSTRAINT refunds_payment_id_key;
CREATE INDEX refunds_by_payment ON sandbox.refunds (payment_id);

-- The bank's own running total, so that the limit is a constraint and not a matter of who looks first.
ALTER TABLE sandbox.payments ADD COLUMN refunded_minor bigint NOT NULL DEFAULT 0;
UPDATE sandbox.payments AS p SET refunded_minor = r.total
FROM (SELECT payment_id, sum(amount_minor) AS total FROM sandbox.refunds GROUP BY payment_id) AS r
WHERE r.payment_id = p.payment_id;
ALTER TABLE sandbox.payments ADD CONSTRAINT refunded_at_most_captured
    CHECK (refunded_minor BETWEEN 0 AND CASE WHEN outcome = 'captured' THEN amount_minor ELSE 0 END);
