-- The sandbox payment provider's own books, apart from everything that is ours: it plays the bank, and the checker
-- compares what the log says with what the bank says.
CREATE SCHEMA sandbox;

-- One row a charge. `attempt_id` is the idempotency key: the same key is the same charge, however often it is sent.
CREATE TABLE sandbox.payments (
    attempt_id   text PRIMARY KEY,
    payment_id   text   NOT NULL UNIQUE,
    token        text   NOT NULL,
    outcome      text   NOT NULL CHECK (outcome IN ('captured', 'declined')),
    reason       text   NOT NULL DEFAULT '',
    amount_minor bigint NOT NULL,
    currency     text   NOT NULL,
    requests     integer NOT NULL DEFAULT 1,  -- how often it was asked for; the first reply to tok_lost_reply is lost
    created_at   timestamptz NOT NULL DEFAULT now()
);

-- One row a refund, at most one a payment.
CREATE TABLE sandbox.refunds (
    idempotency_key text PRIMARY KEY,
    payment_id      text   NOT NULL UNIQUE REFERENCES sandbox.payments (payment_id),
    refund_id       text   NOT NULL UNIQUE,
    amount_minor    bigint NOT NULL,
    requests        integer NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now()
);
