-- One read side: messages are rows first, written in the transaction of the rows that they are about.

-- The order of the messages in an inbox, the id of the live stream. Numbers go on behind the offsets that messages had
-- on notifications.outbound.
CREATE TABLE inbox_counter (
    id   smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    last bigint   NOT NULL
);
INSERT INTO inbox_counter (last) SELECT COALESCE(max(outbound_offset), 0) FROM notifications;

-- The outbox of the export to notifications.outbound. A row is gone as soon as the broker has its record.
CREATE TABLE notification_exports (
    id             bigint  PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    user_id        text    NOT NULL,
    event_id       text    NOT NULL,
    reservation_id text    NOT NULL,
    partition      integer NOT NULL,
    "offset"       bigint  NOT NULL,
    "index"        integer NOT NULL,
    kind           text    NOT NULL,
    channel        text    NOT NULL,
    template       text    NOT NULL,
    created_at     bigint  NOT NULL,
    data           text    NOT NULL
);

-- How far the messages of each partition have left the platform. No derived row: when those are dropped and made again,
-- nothing is sent twice.
CREATE TABLE sent_positions (
    partition integer PRIMARY KEY,
    "offset"  bigint  NOT NULL,
    "index"   integer NOT NULL
);
