-- Tickets offered to somebody, and invitations to an event's door: nothing changes hands before its receiver says yes.
-- The conventions are those of 0001.

CREATE TABLE transfers (
    event_id       text    NOT NULL,
    id             text    NOT NULL,
    partition      integer NOT NULL,
    status         text    NOT NULL
        CHECK (status IN ('offered', 'accepted', 'declined', 'withdrawn', 'expired', 'cancelled')),
    reservation_id text    NOT NULL,
    ticket_id      text    NOT NULL,
    ticket_type_id text    NOT NULL,
    seat           text    NOT NULL,                -- empty for general admission
    user_id        text    NOT NULL,                -- who offers
    to_user_id     text    NOT NULL,
    expires_at     bigint  NOT NULL,                -- behind it an offer is over, whatever its status says
    offered_at     bigint  NOT NULL,
    ended_at       bigint  NOT NULL,                -- 0: not yet
    updated_offset bigint  NOT NULL,
    updated_index  integer NOT NULL,
    PRIMARY KEY (event_id, id)
);
CREATE INDEX transfers_by_id ON transfers (id);
CREATE INDEX transfers_from ON transfers (user_id, offered_at DESC, id);
CREATE INDEX transfers_to ON transfers (to_user_id, offered_at DESC, id);

CREATE TABLE staff_invitations (
    event_id       text    NOT NULL,
    member_id      text    NOT NULL,
    partition      integer NOT NULL,
    status         text    NOT NULL CHECK (status IN ('invited', 'accepted', 'declined', 'withdrawn', 'expired')),
    expires_at     bigint  NOT NULL,
    invited_at     bigint  NOT NULL,
    ended_at       bigint  NOT NULL,                -- 0: not yet
    updated_offset bigint  NOT NULL,
    updated_index  integer NOT NULL,
    PRIMARY KEY (event_id, member_id)
);
CREATE INDEX staff_invitations_to ON staff_invitations (member_id, invited_at DESC);
