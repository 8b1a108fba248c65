-- The history of alerts, written by monitoring: one row from the moment an alert fires until it has resolved, and after.
-- No fact says it, so no replay makes it again.
CREATE TABLE alert_history (
    id          bigint  PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    alert       text    NOT NULL,            -- the alert's name, as in the rules for Prometheus
    about       text    NOT NULL,            -- a flow, a topic, a file, a service; '': the whole platform
    severity    text    NOT NULL CHECK (severity IN ('warning', 'critical')),
    summary     text    NOT NULL,
    value       double precision NOT NULL,   -- the reading that fired it; while it fires, the last one
    began_at    bigint  NOT NULL,            -- when the condition began to hold, microseconds
    fired_at    bigint  NOT NULL,
    resolved_at bigint  NOT NULL DEFAULT 0,  -- 0: it fires
    -- The call to the operators' webhook: the last state that it has taken, and when the next try is due.
    called_for  text    NOT NULL DEFAULT '' CHECK (called_for IN ('', 'firing', 'resolved')),
    call_tries  integer NOT NULL DEFAULT 0,
    call_due_at bigint  NOT NULL DEFAULT 0,
    call_error  text    NOT NULL DEFAULT ''
);
-- One alert about one thing fires once, also where several processes evaluate it.
CREATE UNIQUE INDEX alert_history_firing ON alert_history (alert, about) WHERE resolved_at = 0;
CREATE INDEX alert_history_by_end ON alert_history (resolved_at) WHERE resolved_at > 0;
