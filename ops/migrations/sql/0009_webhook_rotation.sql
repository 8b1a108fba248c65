-- A webhook's secret can be replaced: for some time calls are signed with the former one as well.
ALTER TABLE webhook_endpoints
    ADD COLUMN former_secret text        NOT NULL DEFAULT '',
    ADD COLUMN former_until  timestamptz NOT NULL DEFAULT '-infinity';
