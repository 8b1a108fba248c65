-- What organizers say of themselves, sessions that were ended, and users who were erased.

ALTER TABLE users
    ADD COLUMN description text   NOT NULL DEFAULT '',
    ADD COLUMN links       text[] NOT NULL DEFAULT '{}';

-- A session is a family of refresh tokens; its id is in its access tokens too. Those are refused from here on. A row is
-- of no use when the last access token has ended, and goes with a later login.
CREATE TABLE ended_sessions (
    session_id uuid        PRIMARY KEY,
    ended_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ended_sessions_by_time ON ended_sessions (ended_at);

-- Who was erased: nothing but the opaque id, which the log has too. It keeps what the log still says of them from
-- becoming a message again. text, as ids are on the log.
CREATE TABLE erased_users (
    user_id   text        PRIMARY KEY,
    erased_at timestamptz NOT NULL DEFAULT now()
);
