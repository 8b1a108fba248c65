-- How many places the orders of a code may have together; 0: any number.

ALTER TABLE codes ADD COLUMN places_max bigint NOT NULL DEFAULT 0;
