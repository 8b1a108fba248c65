-- Who somebody is: proven addresses, mailed links, sessions one by one, second factors, and the audit log of all that.
-- Everything here is about a person, goes with the user's row, and never enters the log.

-- NULL: nobody has proven yet that mails to this address reach whoever made the account. Until then it gets no mail but
-- the ones with a link that proves it, and nothing can be handed to it.
ALTER TABLE users ADD COLUMN email_verified_at timestamptz;
-- Accounts from before this have got their mails all along: that they stop getting their tickets helps nobody.
UPDATE users SET email_verified_at = now();

-- 'held': to an address that nobody has proven yet; sent when it is, dropped when that takes too long.
ALTER TABLE mail_deliveries DROP CONSTRAINT mail_deliveries_status_check;
ALTER TABLE mail_deliveries ADD CONSTRAINT mail_deliveries_status_check
    CHECK (status IN ('pending', 'sent', 'suppressed', 'erased', 'outdated', 'failed', 'held'));
CREATE INDEX mail_deliveries_held ON mail_deliveries (user_id) WHERE status = 'held';

-- Mails about an account that may go to an unproven address, or hold a link: they go on no topic. A row is gone as soon
-- as the server has its mail. user_id is NULL where a link was asked for and nobody has the address: that takes as long.
CREATE TABLE account_mails (
    id         bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    user_id    uuid        REFERENCES users (id) ON DELETE CASCADE,
    kind       text        NOT NULL,
    status     text        NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'failed')),
    attempts   integer     NOT NULL DEFAULT 0,
    due_at     timestamptz NOT NULL DEFAULT now(),
    error      text        NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX account_mails_due ON account_mails (due_at) WHERE status = 'pending';
CREATE INDEX account_mails_of_user ON account_mails (user_id);

-- The links in them. SHA-256 of the token: the token itself stands in the mail and nowhere else.
CREATE TABLE mailed_links (
    token_hash bytea       PRIMARY KEY,
    user_id    uuid        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    purpose    text        NOT NULL CHECK (purpose IN ('verify-email', 'password-reset')),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX mailed_links_of_user ON mailed_links (user_id);
CREATE INDEX mailed_links_by_end ON mailed_links (expires_at);

-- A session is what a login begins; its id is the family of its refresh tokens.
CREATE TABLE sessions (
    id           uuid        PRIMARY KEY,
    user_id      uuid        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz NOT NULL DEFAULT now(),  -- a login, or the latest refresh
    address      text        NOT NULL DEFAULT '',     -- of the client, then
    user_agent   text        NOT NULL DEFAULT '',     -- what the client calls itself, in a few words
    ended_at     timestamptz
);
CREATE INDEX sessions_of_user ON sessions (user_id, last_used_at DESC);
INSERT INTO sessions (id, user_id, created_at, last_used_at, ended_at)
SELECT family_id, user_id, min(issued_at), max(issued_at), CASE WHEN bool_or(revoked_at IS NOT NULL) THEN now() END
FROM refresh_tokens GROUP BY family_id, user_id;

-- Networks from which somebody has logged in: wrong passwords from elsewhere do not keep them out.
CREATE TABLE known_networks (
    user_id      uuid        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    network      text        NOT NULL,
    last_used_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, network)
);
CREATE INDEX known_networks_by_time ON known_networks (last_used_at);

-- Second factors (RFC 6238). Not confirmed yet: it is asked for by nothing.
CREATE TABLE second_factors (
    user_id      uuid        PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    secret       bytea       NOT NULL,                -- sealed with a key that is not in this database
    confirmed_at timestamptz,
    last_step    bigint      NOT NULL DEFAULT 0,      -- of the latest code taken: none is taken twice
    created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE recovery_codes (
    user_id   uuid  NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    code_hash bytea NOT NULL,
    used_at   timestamptz,
    PRIMARY KEY (user_id, code_hash)
);

-- The audit log: who did what, from where, when, and how it went. Addresses are blanked after a while, and rows go.
CREATE TABLE security_events (
    id         bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    at         timestamptz NOT NULL DEFAULT now(),
    kind       text        NOT NULL,
    outcome    text        NOT NULL CHECK (outcome IN ('done', 'refused')),
    actor      text        NOT NULL CHECK (actor IN ('owner', 'somebody', 'operator')),
    user_id    uuid        REFERENCES users (id) ON DELETE CASCADE,  -- whose account; NULL: of one that is erased
    session_id uuid,
    address    text        NOT NULL DEFAULT '',
    user_agent text        NOT NULL DEFAULT '',
    detail     jsonb       NOT NULL DEFAULT '{}'
);
CREATE INDEX security_events_of_user ON security_events (user_id, id DESC);
CREATE INDEX security_events_of_kind ON security_events (kind, id DESC);
CREATE INDEX security_events_by_time ON security_events (at);
