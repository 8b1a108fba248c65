-- The whole platform's facts as rows: terms, pools, codes, blocks, staff, programme, single cancellations, transfers, the
-- door, waiting lists, refunds, chores. The conventions are those of 0001.
-- Where an older platform is brought up to date, what its rows tell is carried over; `circle replay projections
-- --promote` makes all of it from the facts.

-- A deleted draft keeps its row, for whoever rebuilds state; it is shown to nobody.
ALTER TABLE events
    DROP CONSTRAINT events_status_check,
    ADD CONSTRAINT events_status_check CHECK (status IN ('draft', 'published', 'cancelled', 'ended', 'deleted')),
    ADD COLUMN refund_until_at       bigint  NOT NULL DEFAULT 0,    -- 0: until it begins
    ADD COLUMN refund_percent        integer NOT NULL DEFAULT 100,
    ADD COLUMN hold_extension_s      integer NOT NULL DEFAULT 0,    -- 0: holds are not extended
    ADD COLUMN offer_ttl_s           integer NOT NULL DEFAULT 0,    -- 0: as hold_ttl_s
    ADD COLUMN max_tickets_per_order integer NOT NULL DEFAULT 0,    -- 0: the platform's limit
    ADD COLUMN reminder_at           bigint  NOT NULL DEFAULT 0,    -- 0: none
    ADD COLUMN reminded_for          bigint  NOT NULL DEFAULT 0,    -- the reminder_at that was dealt with
    ADD COLUMN cancelled_at          bigint  NOT NULL DEFAULT 0,    -- log time of EventCancelled
    ADD COLUMN cancel_reason         text    NOT NULL DEFAULT '';

ALTER TABLE ticket_types
    ADD COLUMN max_per_order integer NOT NULL DEFAULT 0,      -- 0: as the event's
    ADD COLUMN max_per_user  integer NOT NULL DEFAULT 0,
    ADD COLUMN hidden        boolean NOT NULL DEFAULT false,  -- an access code unlocks it
    ADD COLUMN pool_id       text    NOT NULL DEFAULT '';

-- quantity, seats, amount_minor and ticket_ids are what is left after single tickets were cancelled.
ALTER TABLE reservations
    ADD COLUMN promo_code     text    NOT NULL DEFAULT '',
    ADD COLUMN access_code    text    NOT NULL DEFAULT '',
    ADD COLUMN discount_minor bigint  NOT NULL DEFAULT 0,      -- what the promo code took off; amount_minor is after it
    ADD COLUMN extended       boolean NOT NULL DEFAULT false,
    ADD COLUMN warned         boolean NOT NULL DEFAULT false,
    ADD COLUMN void_places    text[]  NOT NULL DEFAULT '{}',   -- seats (or ordinals) whose tickets were cancelled singly
    ADD COLUMN kept_minor     bigint  NOT NULL DEFAULT 0,      -- what the organizer keeps of what was cancelled
    ADD COLUMN refunds_open   text[]  NOT NULL DEFAULT '{}';   -- keys of refunds that the provider still owes
CREATE INDEX reservations_with_code ON reservations (event_id) WHERE promo_code <> '' OR access_code <> '';

-- status is of the charge while nothing is refunded, then refund-requested while a refund is open, then refunded, whole or
-- in part. refund_id is the last one's.
ALTER TABLE payments ADD COLUMN refunded_minor bigint NOT NULL DEFAULT 0;

-- Every refund that was asked for: a payment may have several, each with a key of its own.
CREATE TABLE refunds (
    event_id       text    NOT NULL,
    refund_key     text    NOT NULL,                -- the provider's idempotency key
    partition      integer NOT NULL,
    reservation_id text    NOT NULL,
    user_id        text    NOT NULL,
    attempt_id     text    NOT NULL,
    payment_id     text    NOT NULL,
    status         text    NOT NULL CHECK (status IN ('requested', 'refunded')),
    amount_minor   bigint  NOT NULL,
    currency       text    NOT NULL,
    reason         text    NOT NULL,
    refund_id      text    NOT NULL DEFAULT '',
    refunded_minor bigint  NOT NULL DEFAULT 0,
    requested_at   bigint  NOT NULL,
    refunded_at    bigint  NOT NULL DEFAULT 0,      -- 0: not yet
    updated_offset bigint  NOT NULL,
    updated_index  integer NOT NULL,
    PRIMARY KEY (event_id, refund_key)
);
CREATE INDEX refunds_of_payment ON refunds (event_id, payment_id);
CREATE INDEX refunds_of_reservation ON refunds (event_id, reservation_id);

INSERT INTO refunds (event_id, refund_key, partition, reservation_id, user_id, attempt_id, payment_id, status,
                     amount_minor, currency, reason, refund_id, refunded_minor, requested_at, refunded_at,
                     updated_offset, updated_index)
SELECT p.event_id, 'refund-' || p.payment_id, p.partition, p.reservation_id, p.user_id, p.attempt_id, p.payment_id,
       CASE p.status WHEN 'refunded' THEN 'refunded' ELSE 'requested' END, p.amount_minor, p.currency, p.reason,
       p.refund_id, CASE p.status WHEN 'refunded' THEN p.amount_minor ELSE 0 END, r.updated_at,
       CASE p.status WHEN 'refunded' THEN r.updated_at ELSE 0 END, p.updated_offset, p.updated_index
FROM payments AS p JOIN reservations AS r ON r.event_id = p.event_id AND r.id = p.reservation_id
WHERE p.status IN ('refund-requested', 'refunded');
UPDATE payments SET refunded_minor = amount_minor WHERE status = 'refunded';
UPDATE reservations SET refunds_open = ARRAY['refund-' || payment_id] WHERE payment = 'refund-requested';

-- user_id has the ticket: its buyer, or whoever it was handed on to. reservations.user_id stays the buyer.
ALTER TABLE tickets
    ADD COLUMN transferred_at bigint  NOT NULL DEFAULT 0,     -- log time of the last transfer; 0: never
    ADD COLUMN checked_in_at  bigint  NOT NULL DEFAULT 0,     -- the scanner's clock; 0: not inside
    ADD COLUMN gate           text    NOT NULL DEFAULT '',    -- of the check-in that stands, as the next two
    ADD COLUMN scanner        text    NOT NULL DEFAULT '',
    ADD COLUMN checked_in_by  text    NOT NULL DEFAULT '',
    ADD COLUMN has_history    boolean NOT NULL DEFAULT false; -- it was handed on or scanned: part of an event's state
CREATE INDEX tickets_with_history ON tickets (event_id) WHERE has_history;

-- Every scan at a door, refused ones and check-ins taken back too, in the order of the log.
CREATE TABLE check_ins (
    event_id         text    NOT NULL,
    "offset"         bigint  NOT NULL,
    "index"          integer NOT NULL,
    partition        integer NOT NULL,
    kind             text    NOT NULL CHECK (kind IN ('accepted', 'refused', 'reversed')),
    reservation_id   text    NOT NULL,
    ticket_id        text    NOT NULL,
    user_id          text    NOT NULL,             -- as the fact says: who has the ticket
    seat             text    NOT NULL DEFAULT '',
    by_user_id       text    NOT NULL DEFAULT '',  -- who let them in, or took it back; a refusal names nobody
    reason           text    NOT NULL DEFAULT '',
    gate             text    NOT NULL DEFAULT '',
    scanner          text    NOT NULL DEFAULT '',  -- "": a scan of that moment; else the device that was offline
    scanned_at       bigint  NOT NULL DEFAULT 0,
    first_scanned_at bigint  NOT NULL DEFAULT 0,   -- for a second scan: when and where the first was
    first_gate       text    NOT NULL DEFAULT '',
    first_scanner    text    NOT NULL DEFAULT '',
    decided_at       bigint  NOT NULL,             -- log time
    PRIMARY KEY (event_id, "offset", "index")
);
CREATE INDEX check_ins_of_ticket ON check_ins (event_id, ticket_id);

-- Capacity that ticket types share.
CREATE TABLE pools (
    event_id       text    NOT NULL,
    id             text    NOT NULL,
    partition      integer NOT NULL,
    name           text    NOT NULL,
    capacity       integer NOT NULL,
    updated_offset bigint  NOT NULL,
    updated_index  integer NOT NULL,
    PRIMARY KEY (event_id, id)
);

-- Promo and access codes. How often one was used is the number of live reservations that name it.
CREATE TABLE codes (
    event_id        text    NOT NULL,
    id              text    NOT NULL,
    partition       integer NOT NULL,
    code            text    NOT NULL,               -- upper case
    kind            text    NOT NULL,               -- percent, amount, access
    value           bigint  NOT NULL,
    uses_max        integer NOT NULL,               -- 0: any number
    ticket_type_ids text[]  NOT NULL,               -- none: all
    valid_from_at   bigint  NOT NULL,
    valid_until_at  bigint  NOT NULL,
    disabled        boolean NOT NULL DEFAULT false,
    created_at      bigint  NOT NULL,
    updated_offset  bigint  NOT NULL,
    updated_index   integer NOT NULL,
    PRIMARY KEY (event_id, id)
);

-- Places that the organizer holds back. A block that was freed keeps its row, with quantity 0 and no seats.
CREATE TABLE seat_blocks (
    event_id       text    NOT NULL,
    id             text    NOT NULL,
    partition      integer NOT NULL,
    "offset"       bigint  NOT NULL,                -- where it was asked for
    ticket_type_id text    NOT NULL,
    seats          text[]  NOT NULL,                -- that are still blocked; empty for general admission
    quantity       integer NOT NULL,
    until_at       bigint  NOT NULL,                -- 0: until it is freed
    label          text    NOT NULL,
    created_at     bigint  NOT NULL,
    updated_offset bigint  NOT NULL,
    updated_index  integer NOT NULL,
    PRIMARY KEY (event_id, id)
);
CREATE INDEX seat_blocks_timed ON seat_blocks (partition, until_at) WHERE until_at > 0 AND quantity > 0;

-- Who may check tickets in. Who may no longer keeps a row.
CREATE TABLE event_staff (
    event_id       text    NOT NULL,
    member_id      text    NOT NULL,
    partition      integer NOT NULL,
    active         boolean NOT NULL,
    added_at       bigint  NOT NULL,                -- log time of the last StaffAdded; 0: there was none
    updated_offset bigint  NOT NULL,
    updated_index  integer NOT NULL,
    PRIMARY KEY (event_id, member_id)
);
CREATE INDEX event_staff_of_member ON event_staff (member_id) WHERE active;

-- The programme: one JSON text an activity, as it stands on the log.
CREATE TABLE schedules (
    event_id       text    PRIMARY KEY,
    partition      integer NOT NULL,
    activities     text[]  NOT NULL,
    updated_offset bigint  NOT NULL,
    updated_index  integer NOT NULL
);

-- Who waits for places, in the order of ("offset", "index"); an entry that was offered places or ended keeps its row.
CREATE TABLE waitlist_entries (
    event_id       text    NOT NULL,
    id             text    NOT NULL,
    partition      integer NOT NULL,
    "offset"       bigint  NOT NULL,
    "index"        integer NOT NULL,
    user_id        text    NOT NULL,
    ticket_type_id text    NOT NULL,
    quantity       integer NOT NULL,
    status         text    NOT NULL CHECK (status IN ('waiting', 'offered', 'ended')),
    reservation_id text    NOT NULL DEFAULT '',     -- the hold that was offered
    expires_at     bigint  NOT NULL DEFAULT 0,      -- and its deadline
    reason         text    NOT NULL DEFAULT '',     -- why it ended
    created_at     bigint  NOT NULL,
    updated_at     bigint  NOT NULL,
    updated_offset bigint  NOT NULL,
    updated_index  integer NOT NULL,
    PRIMARY KEY (event_id, id)
);
CREATE INDEX waitlist_entries_of_user ON waitlist_entries (user_id, created_at DESC, id);
CREATE INDEX waitlist_entries_waiting ON waitlist_entries (event_id, ticket_type_id, "offset", "index")
    WHERE status = 'waiting';

-- Telling everybody who has a ticket: at most one at a time of a kind, the last one stays as a row.
CREATE TABLE chores (
    event_id       text    NOT NULL,
    kind           text    NOT NULL,                -- reminder, event-changed
    partition      integer NOT NULL,
    cause          bigint  NOT NULL,
    changed        text[]  NOT NULL,
    told_id        text    NOT NULL DEFAULT '',     -- the last reservation whose holders were told
    finished       boolean NOT NULL DEFAULT false,
    started_at     bigint  NOT NULL,
    updated_offset bigint  NOT NULL,
    updated_index  integer NOT NULL,
    PRIMARY KEY (event_id, kind)
);
