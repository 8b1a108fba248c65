-- The payment provider as a second writer: refunds that began there, refunds that failed, disputes. The conventions are
-- those of 0001.

ALTER TABLE reservations
    DROP CONSTRAINT reservations_payment_check,
    ADD CONSTRAINT reservations_payment_check CHECK (payment IN (
        '', 'requested', 'declined', 'captured', 'refund-requested', 'refunded', 'refund-failed', 'charged-back')),
    ADD COLUMN owed_minor bigint NOT NULL DEFAULT 0;  -- due to the buyer, and no refund of it is under way

ALTER TABLE payments
    DROP CONSTRAINT payments_status_check,
    ADD CONSTRAINT payments_status_check CHECK (status IN (
        'requested', 'declined', 'refused', 'captured', 'refund-requested', 'refunded', 'refund-failed'));

-- origin: ours, provider (nobody asked for it here; refund_key is then its refund_id), stray (of a payment beside the
-- reservation's own one). failure says why one came to nothing.
ALTER TABLE refunds
    DROP CONSTRAINT refunds_status_check,
    ADD CONSTRAINT refunds_status_check CHECK (status IN ('requested', 'refunded', 'failed')),
    ADD COLUMN origin  text NOT NULL DEFAULT 'ours' CHECK (origin IN ('ours', 'provider', 'stray')),
    ADD COLUMN failure text NOT NULL DEFAULT '';

CREATE TABLE disputes (
    event_id       text    NOT NULL,
    dispute_id     text    NOT NULL,                -- the provider's
    partition      integer NOT NULL,
    reservation_id text    NOT NULL,
    user_id        text    NOT NULL,
    payment_id     text    NOT NULL,
    status         text    NOT NULL CHECK (status IN ('inquiry', 'open', 'won', 'lost', 'closed')),
    amount_minor   bigint  NOT NULL,
    currency       text    NOT NULL,
    reason         text    NOT NULL,
    charged_minor  bigint  NOT NULL DEFAULT 0,      -- what it has taken of the payment
    opened_at      bigint  NOT NULL DEFAULT 0,      -- 0: it was heard of when it was over
    closed_at      bigint  NOT NULL DEFAULT 0,      -- 0: not yet
    updated_offset bigint  NOT NULL,
    updated_index  integer NOT NULL,
    PRIMARY KEY (event_id, dispute_id)
);
CREATE INDEX disputes_of_reservation ON disputes (event_id, reservation_id);

-- The pretend bank can do it too. A refund that began there has its refund_id as its key.
ALTER TABLE sandbox.refunds
    ADD COLUMN origin text NOT NULL DEFAULT 'ours' CHECK (origin IN ('ours', 'provider')),
    ADD COLUMN status text NOT NULL DEFAULT 'succeeded' CHECK (status IN ('succeeded', 'failed'));
CREATE TABLE sandbox.disputes (
    dispute_id   text PRIMARY KEY,
    payment_id   text   NOT NULL REFERENCES sandbox.payments (payment_id),
    status       text   NOT NULL CHECK (status IN ('inquiry', 'open', 'won', 'lost', 'closed')),
    reason       text   NOT NULL,
    amount_minor bigint NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now()
);
-- For whoever compares the books, page by page.
CREATE INDEX sandbox_payments_in_order ON sandbox.payments (created_at, payment_id) WHERE outcome = 'captured';
CREATE INDEX sandbox_disputes_by_payment ON sandbox.disputes (payment_id);
