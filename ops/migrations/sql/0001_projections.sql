-- Projections: what tickets.facts and notifications.outbound say, as rows. Derived, never the truth: these tables may
-- be emptied and filled again from the log.
--
-- Conventions, for every table here:
--   * ids are text, as on the log: an odd id in a record must not be able to stop a projection;
--   * times are bigint microseconds since the epoch, money is bigint minor units, "" and 0 mean "not set";
--   * partition is the partition of the event (of tickets.commands and tickets.facts alike), "offset" the offset of
--     a command there, and (updated_offset, updated_index) the position of the last fact that changed the row.
--     An event never changes its partition, so two positions of one row compare by offset and index;
--   * no foreign keys: a reservation of an event that never existed is a fact too (refused, but with a row), and
--     order is guaranteed by the log, not by the database.

-- The concerts. Written by EventCreated, EventUpdated and EventPublished.
CREATE TABLE events (
    id                   text PRIMARY KEY,
    partition            integer NOT NULL,
    organizer_id         text    NOT NULL,
    status               text    NOT NULL CHECK (status IN ('draft', 'published', 'cancelled')),
    title                text    NOT NULL,
    description          text    NOT NULL,
    category_id          text    NOT NULL,
    venue                text    NOT NULL,
    starts_at            bigint  NOT NULL,
    ends_at              bigint  NOT NULL,
    timezone             text    NOT NULL,
    sales_open_at        bigint  NOT NULL,
    sales_close_at       bigint  NOT NULL,
    hold_ttl_s           integer NOT NULL,
    max_tickets_per_user integer NOT NULL,
    created_at           bigint  NOT NULL,            -- log time of EventCreated
    published_at         bigint  NOT NULL DEFAULT 0,  -- log time of EventPublished; 0: not yet
    updated_offset       bigint  NOT NULL,
    updated_index        integer NOT NULL
);
CREATE INDEX events_public ON events (starts_at, id) WHERE status = 'published';
CREATE INDEX events_of_organizer ON events (organizer_id, created_at DESC, id);
CREATE INDEX events_of_partition ON events (partition);  -- loading a worker

-- What an event sells. Written once, by TicketTypeAdded.
CREATE TABLE ticket_types (
    id             text    NOT NULL,
    event_id       text    NOT NULL,
    partition      integer NOT NULL,
    ordinal        integer NOT NULL,  -- place among the event's ticket types, from 0
    name           text    NOT NULL,
    price_minor    bigint  NOT NULL,
    currency       text    NOT NULL,
    kind           text    NOT NULL,  -- seated: rows x seats_per_row; general: capacity
    rows           integer NOT NULL,
    seats_per_row  integer NOT NULL,
    capacity       integer NOT NULL,
    sales_open_at  bigint  NOT NULL,  -- 0: as the event's
    sales_close_at bigint  NOT NULL,
    updated_offset bigint  NOT NULL,
    updated_index  integer NOT NULL,
    PRIMARY KEY (event_id, id)
);

-- Every reservation that was ever asked for, refused ones too: a retry of the same request finds its answer here.
CREATE TABLE reservations (
    id             text    NOT NULL,
    event_id       text    NOT NULL,
    partition      integer NOT NULL,  -- with "offset": where it was asked for
    "offset"       bigint  NOT NULL,
    user_id        text    NOT NULL,
    ticket_type_id text    NOT NULL,
    status         text    NOT NULL
        CHECK (status IN ('held', 'confirmed', 'rejected', 'expired', 'released', 'cancelled')),
    quantity       integer NOT NULL,
    seats          text[]  NOT NULL DEFAULT '{}',  -- as granted; empty for general admission and refusals
    amount_minor   bigint  NOT NULL DEFAULT 0,
    currency       text    NOT NULL DEFAULT '',
    expires_at     bigint  NOT NULL DEFAULT 0,     -- the hold's deadline; kept after it ends
    fingerprint    bigint  NOT NULL,               -- of what was asked; the same key with another body differs
    reason         text    NOT NULL DEFAULT '',    -- why it was rejected, or its last payment declined
    detail         text    NOT NULL DEFAULT '',
    attempt_id     text    NOT NULL DEFAULT '',    -- the last payment attempt; all of them are in payments
    payment        text    NOT NULL DEFAULT ''
        CHECK (payment IN ('', 'requested', 'declined', 'captured', 'refund-requested', 'refunded')),
    payment_id     text    NOT NULL DEFAULT '',
    payment_token  text    NOT NULL DEFAULT '',
    refund_id      text    NOT NULL DEFAULT '',
    ticket_ids     text[]  NOT NULL DEFAULT '{}',
    created_at     bigint  NOT NULL,               -- log time of the first fact about it
    updated_at     bigint  NOT NULL,               -- log time of the last one
    updated_offset bigint  NOT NULL,
    updated_index  integer NOT NULL,
    PRIMARY KEY (event_id, id)
);
CREATE INDEX reservations_by_id ON reservations (id);
CREATE INDEX reservations_of_user ON reservations (user_id, created_at DESC, id);
-- Loading a worker: the deadlines of live holds, and events that exist only in refusals.
CREATE INDEX reservations_held ON reservations (partition, event_id, expires_at) WHERE status = 'held';
CREATE INDEX reservations_of_no_event ON reservations (partition, event_id) WHERE reason = 'event-not-found';

-- Every payment attempt: what was asked of the provider and what it said.
CREATE TABLE payments (
    event_id       text    NOT NULL,
    attempt_id     text    NOT NULL,
    partition      integer NOT NULL,
    reservation_id text    NOT NULL,
    user_id        text    NOT NULL,
    status         text    NOT NULL
        CHECK (status IN ('requested', 'declined', 'refused', 'captured', 'refund-requested', 'refunded')),
    reason         text    NOT NULL DEFAULT '',
    amount_minor   bigint  NOT NULL DEFAULT 0,
    currency       text    NOT NULL DEFAULT '',
    payment_token  text    NOT NULL DEFAULT '',
    payment_id     text    NOT NULL DEFAULT '',
    refund_id      text    NOT NULL DEFAULT '',
    updated_offset bigint  NOT NULL,
    updated_index  integer NOT NULL,
    PRIMARY KEY (event_id, attempt_id)
);
CREATE INDEX payments_by_payment ON payments (event_id, payment_id) WHERE payment_id <> '';
CREATE INDEX payments_of_reservation ON payments (event_id, reservation_id);

-- Who has had which seat. 'held' and 'sold' are live, 'ended' is history.
CREATE TABLE seat_claims (
    event_id       text    NOT NULL,
    ticket_type_id text    NOT NULL,
    seat           text    NOT NULL,
    reservation_id text    NOT NULL,
    partition      integer NOT NULL,
    status         text    NOT NULL CHECK (status IN ('held', 'sold', 'ended')),
    updated_offset bigint  NOT NULL,
    updated_index  integer NOT NULL,
    PRIMARY KEY (event_id, ticket_type_id, seat, reservation_id)
);
-- The tripwire: a seat with two live claims cannot be written. Violating it stops the projection with an alarm.
CREATE UNIQUE INDEX seat_claims_live ON seat_claims (event_id, ticket_type_id, seat) WHERE status IN ('held', 'sold');

-- One row a place of a confirmed reservation. A void ticket has a raised version, so its signed code no longer holds.
CREATE TABLE tickets (
    id             text PRIMARY KEY,
    event_id       text    NOT NULL,
    partition      integer NOT NULL,
    reservation_id text    NOT NULL,
    user_id        text    NOT NULL,
    ticket_type_id text    NOT NULL,
    seat           text    NOT NULL,  -- "" for general admission
    ordinal        integer NOT NULL,  -- place within the reservation, from 1
    status         text    NOT NULL CHECK (status IN ('valid', 'void')),
    version        integer NOT NULL,
    issued_at      bigint  NOT NULL,
    updated_offset bigint  NOT NULL,
    updated_index  integer NOT NULL
);
CREATE INDEX tickets_of_user ON tickets (user_id, issued_at DESC, id);
CREATE INDEX tickets_of_reservation ON tickets (event_id, reservation_id);

-- Places "ticket_type_id/seat" that a foreign owner held in Redis when last looked at (SeatLocksObserved).
-- A freed place keeps its row (locked = false), so that an old fact cannot bring the lock back.
CREATE TABLE observed_seat_locks (
    event_id       text    NOT NULL,
    place          text    NOT NULL,
    partition      integer NOT NULL,
    locked         boolean NOT NULL,
    updated_offset bigint  NOT NULL,
    updated_index  integer NOT NULL,
    PRIMARY KEY (event_id, place)
);

-- The inbox. The key is the message's identity: the fact that caused it, the user, the channel and the template; so
-- a message that is delivered twice is stored once. (outbound_partition, outbound_offset) is where it stands on
-- notifications.outbound, the id of the live stream; one user's messages are all on one partition there.
CREATE TABLE notifications (
    user_id            text    NOT NULL,
    partition          integer NOT NULL,
    "offset"           bigint  NOT NULL,
    "index"            integer NOT NULL,
    channel            text    NOT NULL,
    template           text    NOT NULL,
    kind               text    NOT NULL,
    event_id           text    NOT NULL,
    reservation_id     text    NOT NULL,
    data               jsonb   NOT NULL,
    created_at         bigint  NOT NULL,
    read_at            bigint  NOT NULL DEFAULT 0,  -- 0: unread
    deleted_at         bigint  NOT NULL DEFAULT 0,  -- 0: not deleted
    outbound_partition integer NOT NULL,
    outbound_offset    bigint  NOT NULL,
    PRIMARY KEY (user_id, partition, "offset", "index", channel, template)
);
CREATE INDEX notifications_of_user ON notifications (user_id, outbound_offset DESC) WHERE deleted_at = 0;
CREATE INDEX notifications_unread ON notifications (user_id) WHERE read_at = 0 AND deleted_at = 0;
CREATE INDEX notifications_by_outbound ON notifications (outbound_partition, outbound_offset);

-- How far each consumer has come, written in the transaction that writes its effects.
--   ("offset", "index"): the last position applied, of a command and a fact of it; (-1, -1): none;
--   next_offset: where to read on in the topic that the consumer reads (tickets.facts, notifications.outbound); -1:
--   from its beginning;
--   log_time: the largest log time among the facts applied.
-- Consumers: 'projections' (the one a reservations worker rebuilds its state from), 'inbox', …
CREATE TABLE projection_positions (
    consumer    text    NOT NULL,
    partition   integer NOT NULL,
    "offset"    bigint  NOT NULL,
    "index"     integer NOT NULL,
    next_offset bigint  NOT NULL,
    log_time    bigint  NOT NULL,
    PRIMARY KEY (consumer, partition)
);

-- Fencing: who takes over a partition raises its epoch here, and nothing else ever does; it never goes back.
CREATE TABLE partition_epochs (
    partition integer PRIMARY KEY,
    epoch     bigint  NOT NULL CHECK (epoch > 0),
    owner     text    NOT NULL DEFAULT ''  -- the owner's transactional id; '': given back, with nothing open
);
