-- The row of an event on sale, as the projection writes it: the API asks once whether an event exists.
-- name: add_event
INSERT INTO events (id, partition, organizer_id, status, title, description, category_id, venue, starts_at, ends_at,
                    timezone, sales_open_at, sales_close_at, hold_ttl_s, max_tickets_per_user, created_at, published_at,
                    updated_offset, updated_index)
VALUES ($1, $2, 'bench', 'published', 'Bench', '', '', 'Round Hall', 4000000000000000, 4000000000000001,
        'Europe/Vienna', 0, 0, 600, 1000, 1, 1, 0, 0);
