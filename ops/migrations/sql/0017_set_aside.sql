-- Facts that could not be written as rows: each is a dead letter, and the rows of its event are not complete. Whoever needs
-- that event's state folds its facts instead; making the rows anew is what mends it (`circle replay projections`).
-- The event's id has no index: it may be longer than one can hold, and this table is empty unless something is wrong.
CREATE TABLE facts_set_aside (
    event_id  text    NOT NULL,
    partition integer NOT NULL,
    "offset"  bigint  NOT NULL,  -- of the fact's command
    "index"   integer NOT NULL,
    fact      text    NOT NULL,  -- its type
    error     text    NOT NULL,
    PRIMARY KEY (partition, "offset", "index")
);

-- A message about an account that nothing can be made of: why. '': it is to be sent.
ALTER TABLE direct_messages ADD COLUMN set_aside text NOT NULL DEFAULT '';
