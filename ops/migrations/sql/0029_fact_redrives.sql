-- An operator asks a branch of the read side to apply a fact that it had set aside. The fact is on tickets.facts and is
-- read there again, so nothing is written to the log. The branch applies it in the transaction that ends the request.
CREATE TABLE fact_redrives (
    flow         text        NOT NULL,  -- the branch that had set the fact aside
    partition    integer     NOT NULL,
    "offset"     bigint      NOT NULL,  -- of the fact's command
    "index"      integer     NOT NULL,
    place        bigint      NOT NULL,  -- where its letter says that the record is on tickets.facts; else it is searched
    state        text        NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'applied', 'failed')),
    requested_by text        NOT NULL,  -- a user's id; 'operator' for a person with the operator's rights
    requested_at timestamptz NOT NULL DEFAULT now(),
    ended_at     timestamptz,
    error        text        NOT NULL DEFAULT '',
    PRIMARY KEY (flow, partition, "offset", "index")
);
-- The read side looks here every other second.
CREATE INDEX fact_redrives_waiting ON fact_redrives (flow, partition) WHERE state = 'waiting';
