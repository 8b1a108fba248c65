-- What a provider tells of by itself names its own payment, and no event: a payment's id is one of all events.
CREATE INDEX payments_of_provider ON payments (payment_id) WHERE payment_id <> '';
