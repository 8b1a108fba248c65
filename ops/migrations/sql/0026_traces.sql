-- The trace context of the fact that a delivery is about, so that its attempts continue the request's trace. '': none.
ALTER TABLE mail_deliveries ADD COLUMN trace text NOT NULL DEFAULT '';
ALTER TABLE webhook_deliveries ADD COLUMN trace text NOT NULL DEFAULT '';
