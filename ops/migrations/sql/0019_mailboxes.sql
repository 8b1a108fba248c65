-- What the accounts of one mailbox share: a keyed number that the API makes of the address; 0: not known. A reservations
-- worker reads it back, so that one mailbox has one budget of unpaid holds.

ALTER TABLE reservations ADD COLUMN mailbox bigint NOT NULL DEFAULT 0;
ALTER TABLE waitlist_entries ADD COLUMN mailbox bigint NOT NULL DEFAULT 0;
