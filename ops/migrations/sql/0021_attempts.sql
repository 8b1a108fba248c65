-- Logins of strangers that came to nothing: one row for each reason, network and account an hour. The key goes when
-- the row's address is blanked.

ALTER TABLE security_events ADD COLUMN once text;
CREATE UNIQUE INDEX security_events_once ON security_events (once);
