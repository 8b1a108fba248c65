-- The trace context of the fact that an exported message is about, for the readers of its record. '': none.
ALTER TABLE notification_exports ADD COLUMN trace text NOT NULL DEFAULT '';
