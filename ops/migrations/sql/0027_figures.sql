-- The platform's figures of the last hour, one row for each five seconds, and of the last day, one for each two minutes.
-- Monitoring writes and prunes them. No fact says them, so no replay makes them again.
CREATE TABLE figure_history (
    step_s  integer NOT NULL,  -- 5: the last hour; 120: the last day
    at      bigint  NOT NULL,  -- the step's beginning, seconds since the epoch
    figures text    NOT NULL,  -- JSON: pipelines.monitoring.figure_history.FigureSample
    PRIMARY KEY (step_s, at)
);
