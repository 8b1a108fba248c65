-- Mails take turns by event, so that one with much to tell keeps nobody else's waiting. The event's id is cut, since it
-- may be longer than an index can hold.
CREATE INDEX mail_deliveries_turns ON mail_deliveries (left(event_id, 64), due_at) WHERE status = 'pending';
