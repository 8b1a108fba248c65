-- Which requests have freed places of a block: one that is sent again frees nothing more.
ALTER TABLE seat_blocks ADD COLUMN releases text[] NOT NULL DEFAULT '{}';
