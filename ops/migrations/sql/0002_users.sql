-- Accounts, their refresh tokens, and categories: the only things the API writes itself. Personal data lives here and
-- nowhere else; the log knows a user's id only. Erasing a user is deleting one row.

CREATE TABLE users (
    id            uuid        PRIMARY KEY,
    email         text        NOT NULL UNIQUE,  -- lower case, trimmed
    name          text        NOT NULL,
    password_hash text        NOT NULL,         -- Argon2id, with its parameters
    role          text        NOT NULL DEFAULT 'buyer' CHECK (role IN ('buyer', 'organizer', 'admin')),
    created_at    timestamptz NOT NULL DEFAULT now()
);

-- One row a refresh token ever given. A family begins at a login; each use replaces its token by the next one.
-- A used token that comes again means that two parties have it: the whole family is revoked.
CREATE TABLE refresh_tokens (
    token_hash bytea       PRIMARY KEY,  -- SHA-256; the token itself is stored nowhere
    family_id  uuid        NOT NULL,
    user_id    uuid        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    issued_at  timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at    timestamptz,
    revoked_at timestamptz
);
CREATE INDEX refresh_tokens_of_family ON refresh_tokens (family_id);
CREATE INDEX refresh_tokens_of_user ON refresh_tokens (user_id);

CREATE TABLE categories (
    id         uuid        PRIMARY KEY,
    name       text        NOT NULL,
    created_by uuid        REFERENCES users (id) ON DELETE SET NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX categories_by_name ON categories (lower(name));
