-- What has been decided so far, counted by the monitoring dataflow: in one transaction with its positions, so that the
-- totals are those of the log and go on after a restart.
CREATE TABLE fact_totals (
    partition integer NOT NULL,
    measure text NOT NULL,  -- fact, places, refused
    label text NOT NULL,    -- a fact's type; held, sold, freed; a reason
    total bigint NOT NULL,
    PRIMARY KEY (partition, measure, label)
);
