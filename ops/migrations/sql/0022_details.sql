-- The moment that a refused reservation's detail names, in microseconds. 0: it names none, or it was refused before
-- refusals had fields for what their details name.

ALTER TABLE reservations ADD COLUMN detail_at bigint NOT NULL DEFAULT 0;
