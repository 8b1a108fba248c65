-- Channels: what a user wants to be told over which of them, mails and webhook calls that are due or done, and messages
-- about accounts. Nothing here is made from tickets.facts again: what has left the house cannot be called back.
-- Times of our own clock are timestamptz; those of the log are bigint microseconds, as in 0001.

-- What the user wanted when the message was delivered: a row is there in any case, once for each message.
ALTER TABLE notifications
    ADD COLUMN inbox  boolean NOT NULL DEFAULT true,  -- shown in the list, counted as unread
    ADD COLUMN stream boolean NOT NULL DEFAULT true;  -- sent on the live stream

-- NULL: as the kind has it by default. `recipient` is the id as records carry it.
CREATE TABLE notification_preferences (
    user_id    uuid        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    recipient  text        NOT NULL GENERATED ALWAYS AS (user_id::text) STORED,
    kind       text        NOT NULL,
    inbox      boolean,
    stream     boolean,
    mail       boolean,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, kind)
);
CREATE UNIQUE INDEX notification_preferences_of_recipient ON notification_preferences (recipient, kind);

-- One row a mail that is to be sent, was sent, or that its user has switched off: the identity is the message's, as in
-- notifications. A kind that is off by default leaves no row. No addresses: they are looked up when a mail is sent.
CREATE TABLE mail_deliveries (
    id                 bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    user_id            text        NOT NULL,
    partition          integer     NOT NULL,
    "offset"           bigint      NOT NULL,
    "index"            integer     NOT NULL,
    template           text        NOT NULL,
    kind               text        NOT NULL,
    event_id           text        NOT NULL,
    reservation_id     text        NOT NULL,
    data               jsonb       NOT NULL,
    created_at         bigint      NOT NULL,  -- log time of the fact
    outbound_partition integer     NOT NULL,
    outbound_offset    bigint      NOT NULL,
    status             text        NOT NULL
        CHECK (status IN ('pending', 'sent', 'suppressed', 'erased', 'outdated', 'failed')),
    attempts           integer     NOT NULL DEFAULT 0,
    due_at             timestamptz NOT NULL DEFAULT now(),  -- of a pending one: when to try, or to try again
    error              text        NOT NULL DEFAULT '',     -- of the last attempt
    changed_at         timestamptz NOT NULL DEFAULT now(),
    UNIQUE (user_id, partition, "offset", "index", template)
);
CREATE INDEX mail_deliveries_due ON mail_deliveries (due_at) WHERE status = 'pending';
CREATE INDEX mail_deliveries_done ON mail_deliveries (changed_at) WHERE status <> 'pending';

-- Messages about an account, which no fact tells. Whoever writes the account writes one, in the same transaction; it is
-- gone from here as soon as it is on notifications.outbound.
CREATE TABLE direct_messages (
    id         bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    user_id    uuid        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind       text        NOT NULL,
    data       jsonb       NOT NULL DEFAULT '{}',  -- no personal data: it goes on a topic
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Where organizers want to be called. `owner` is the id as records carry it.
CREATE TABLE webhook_endpoints (
    id           uuid        PRIMARY KEY,
    organizer_id uuid        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    owner        text        NOT NULL GENERATED ALWAYS AS (organizer_id::text) STORED,
    url          text        NOT NULL,
    event_id     text        NOT NULL DEFAULT '',    -- '': all events of the organizer
    types        text[]      NOT NULL DEFAULT '{}',  -- empty: every type
    secret       text        NOT NULL,               -- signs each call, so it has to be readable here
    enabled      boolean     NOT NULL DEFAULT true,
    disabled_why text        NOT NULL DEFAULT '',
    created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX webhook_endpoints_of_owner ON webhook_endpoints (owner, created_at DESC, id);

-- Whose event is which, from EventCreated: events, the projection, may be behind or being made anew.
CREATE TABLE webhook_events (
    event_id     text PRIMARY KEY,
    organizer_id text NOT NULL
);

-- The delivery log: one row a fact and endpoint. `id` is the webhook-id, the same on every attempt.
CREATE TABLE webhook_deliveries (
    id           text        PRIMARY KEY,
    number       bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    endpoint_id  uuid        NOT NULL REFERENCES webhook_endpoints (id) ON DELETE CASCADE,
    partition    integer     NOT NULL,  -- -1: of no fact, a test
    "offset"     bigint      NOT NULL,
    "index"      integer     NOT NULL,
    event_id     text        NOT NULL,
    type         text        NOT NULL,
    payload      text        NOT NULL,  -- the body, byte for byte
    status       text        NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'failed')),
    attempts     integer     NOT NULL DEFAULT 0,
    due_at       timestamptz NOT NULL DEFAULT now(),  -- of a pending one: when to try, or to try again
    answer       integer,                             -- the last attempt's HTTP status
    error        text        NOT NULL DEFAULT '',
    attempted_at timestamptz,
    created_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (endpoint_id, partition, "offset", "index")
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, due_at) WHERE status = 'pending';
CREATE INDEX webhook_deliveries_of_endpoint ON webhook_deliveries (endpoint_id, number DESC);
CREATE INDEX webhook_deliveries_done ON webhook_deliveries (created_at) WHERE status <> 'pending';
