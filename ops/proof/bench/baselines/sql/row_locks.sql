-- The row-lock baseline: reservations on PostgreSQL alone. It has its own database, which no migration touches.

-- name: schema
CREATE TABLE events (
    id                   text PRIMARY KEY,
    max_tickets_per_user integer NOT NULL,
    hold_ttl_s           integer NOT NULL
);
-- `claimed`: a bitmap for each row of seats, so that locking and reading a section is one small row. 62 seats a row at most.
CREATE TABLE sections (
    id          text PRIMARY KEY,
    event_id    text   NOT NULL REFERENCES events,
    price_minor bigint NOT NULL,
    currency    text   NOT NULL,
    width       integer NOT NULL,
    claimed     bigint[] NOT NULL
) WITH (fillfactor = 50);
CREATE TABLE reservations (
    id           text PRIMARY KEY,
    event_id     text NOT NULL,
    section_id   text NOT NULL,
    user_id      text NOT NULL,
    quantity     integer NOT NULL,
    fingerprint  bigint NOT NULL,
    reason       text NOT NULL,
    seats        text[] NOT NULL,
    amount_minor bigint NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz
);
CREATE INDEX reservations_of_user ON reservations (user_id, created_at DESC);
CREATE INDEX reservations_of_event ON reservations (event_id);
CREATE TABLE seat_claims (
    section_id     text NOT NULL,
    seat           text NOT NULL,
    reservation_id text NOT NULL,
    PRIMARY KEY (section_id, seat)
);
CREATE TABLE tickets_of_users (
    event_id text NOT NULL,
    user_id  text NOT NULL,
    tickets  integer NOT NULL,
    PRIMARY KEY (event_id, user_id)
);
CREATE TABLE notifications (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id        text NOT NULL,
    event_id       text NOT NULL,
    reservation_id text NOT NULL,
    kind           text NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX notifications_of_user ON notifications (user_id, id DESC);
CREATE INDEX notifications_of_event ON notifications (event_id);

-- name: add_event
INSERT INTO events (id, max_tickets_per_user, hold_ttl_s) VALUES ($1, $2, $3);

-- name: add_section
INSERT INTO sections (id, event_id, price_minor, currency, width, claimed)
VALUES ($1, $2, $3, $4, $5, array_fill(0::bigint, ARRAY[$6::integer]));

-- name: lock_section
-- The whole point: a sale of seats of a section holds its row until the end of the transaction.
SELECT s.event_id, s.price_minor, s.currency, s.width, s.claimed, e.max_tickets_per_user, e.hold_ttl_s
FROM sections s JOIN events e ON e.id = s.event_id
WHERE s.id = $1 AND s.event_id = $2
FOR UPDATE OF s;

-- name: known
-- The reservation of this key, if there is one, and how many tickets the user has. The user's row is locked too, for
-- they may buy in another section of the event at the same moment.
SELECT t.tickets, r.user_id, r.fingerprint, r.quantity, r.reason, r.seats, r.amount_minor, r.expires_at
FROM tickets_of_users t LEFT JOIN reservations r ON r.id = $3
WHERE t.event_id = $1 AND t.user_id = $2
FOR UPDATE OF t;

-- name: add_user
INSERT INTO tickets_of_users (event_id, user_id, tickets) VALUES ($1, $2, 0) ON CONFLICT DO NOTHING;

-- name: hold
-- Everything that a hold changes: the section, the claims, the user's tickets, the reservation, the message.
WITH sold AS (
    UPDATE sections SET claimed = $5::bigint[] WHERE id = $3
), claims AS (
    INSERT INTO seat_claims (section_id, seat, reservation_id) SELECT $3, seat, $1 FROM unnest($8::text[]) AS seat
), owned AS (
    UPDATE tickets_of_users SET tickets = tickets + $6 WHERE event_id = $2 AND user_id = $4
), told AS (
    INSERT INTO notifications (user_id, event_id, reservation_id, kind) VALUES ($4, $2, $1, 'ticket.held')
)
INSERT INTO reservations
    (id, event_id, section_id, user_id, quantity, fingerprint, reason, seats, amount_minor, expires_at)
VALUES ($1, $2, $3, $4, $6, $7, '', $8, $9, now() + make_interval(secs => $10))
RETURNING expires_at;

-- name: refuse
WITH told AS (
    INSERT INTO notifications (user_id, event_id, reservation_id, kind) VALUES ($4, $2, $1, 'reservation.rejected')
)
INSERT INTO reservations (id, event_id, section_id, user_id, quantity, fingerprint, reason, seats, amount_minor)
VALUES ($1, $2, $3, $4, $5, $6, $7, '{}', 0);

-- name: persisted
SELECT count(*) FROM reservations WHERE event_id = ANY($1::text[]);

-- name: notified
SELECT count(*) FROM notifications WHERE event_id = ANY($1::text[]);

-- name: sold
-- Places by the claims, places by the bitmaps' owners, and the most claims that one seat has.
SELECT (SELECT count(*) FROM seat_claims c JOIN sections s ON s.id = c.section_id WHERE s.event_id = ANY($1::text[])),
       (SELECT coalesce(sum(quantity), 0) FROM reservations WHERE event_id = ANY($1::text[]) AND reason = '');
