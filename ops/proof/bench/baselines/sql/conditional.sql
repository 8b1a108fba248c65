-- The baseline of conditional updates. It has its own database, which no migration touches.

-- name: schema
CREATE TABLE events (
    id                   text PRIMARY KEY,
    max_tickets_per_user integer NOT NULL,
    hold_ttl_s           integer NOT NULL
);
CREATE TABLE sections (
    id          text PRIMARY KEY,
    event_id    text    NOT NULL REFERENCES events,
    price_minor bigint  NOT NULL,
    currency    text    NOT NULL,
    remaining   integer NOT NULL CHECK (remaining >= 0)
) WITH (fillfactor = 50);
CREATE TABLE seats (
    section_id     text    NOT NULL,
    number         integer NOT NULL,
    seat           text    NOT NULL,
    reservation_id text,
    PRIMARY KEY (section_id, number)
) WITH (fillfactor = 70);
CREATE INDEX free_seats ON seats (section_id, number) WHERE reservation_id IS NULL;
-- `all_seats`: a hold has as many seats as it asked for, or the whole statement fails.
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
    expires_at   timestamptz,
    CONSTRAINT all_seats CHECK (reason <> '' OR cardinality(seats) = quantity)
);
CREATE INDEX reservations_of_user ON reservations (user_id, created_at DESC);
CREATE INDEX reservations_of_event ON reservations (event_id);
-- `within_limit`: no buyer has more tickets than allowed, or the whole statement fails.
CREATE TABLE tickets_of_users (
    event_id text NOT NULL,
    user_id  text NOT NULL,
    tickets  integer NOT NULL,
    allowed  integer NOT NULL,
    PRIMARY KEY (event_id, user_id),
    CONSTRAINT within_limit CHECK (tickets <= allowed)
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
INSERT INTO sections (id, event_id, price_minor, currency, remaining) VALUES ($1, $2, $3, $4, $5);

-- name: add_seats
INSERT INTO seats (section_id, number, seat)
SELECT $1, number - 1, seat FROM unnest($2::text[]) WITH ORDINALITY AS labels (seat, number);

-- name: known
-- No lock: the section, and the reservation of this key, if there is one.
SELECT s.price_minor, s.currency, s.remaining, e.max_tickets_per_user, e.hold_ttl_s,
       r.user_id, r.fingerprint, r.reason, r.seats, r.amount_minor, r.expires_at
FROM sections s JOIN events e ON e.id = s.event_id LEFT JOIN reservations r ON r.id = $3
WHERE s.id = $1 AND s.event_id = $2;

-- name: hold
-- The whole sale in one statement. Without enough places it changes nothing and gives no row; a constraint that fails
-- takes everything back. Seats that another sale is taking are skipped.
WITH section AS (
    UPDATE sections SET remaining = remaining - $5 WHERE id = $3 AND event_id = $2 AND remaining >= $5 RETURNING id
), owned AS (
    INSERT INTO tickets_of_users AS t (event_id, user_id, tickets, allowed) SELECT $2, $4, $5, $9 FROM section
    ON CONFLICT (event_id, user_id) DO UPDATE SET tickets = t.tickets + excluded.tickets
), picked AS (
    SELECT s.section_id, s.number FROM seats s JOIN section ON section.id = s.section_id
    WHERE s.reservation_id IS NULL AND (cardinality($7::text[]) = 0 OR s.seat = ANY($7::text[]))
    ORDER BY s.number LIMIT $5 FOR UPDATE OF s SKIP LOCKED
), claimed AS (
    UPDATE seats SET reservation_id = $1 FROM picked
    WHERE seats.section_id = picked.section_id AND seats.number = picked.number
    RETURNING seats.seat, seats.number
), told AS (
    INSERT INTO notifications (user_id, event_id, reservation_id, kind) SELECT $4, $2, $1, 'ticket.held' FROM section
)
INSERT INTO reservations
    (id, event_id, section_id, user_id, quantity, fingerprint, reason, seats, amount_minor, expires_at)
SELECT $1, $2, $3, $4, $5, $6, '',
       (SELECT coalesce(array_agg(seat ORDER BY number), '{}') FROM claimed), $8, now() + make_interval(secs => $10)
FROM section
RETURNING seats, expires_at;

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

-- name: oversold
-- Reserved places without a seat of their own.
SELECT (SELECT coalesce(sum(quantity), 0) FROM reservations WHERE event_id = ANY($1::text[]) AND reason = '')
     - (SELECT count(*) FROM seats JOIN sections ON sections.id = seats.section_id
        WHERE sections.event_id = ANY($1::text[]) AND reservation_id IS NOT NULL);
