-- The inbox costs less for each message. Its key begins with the position, so a batch's messages are written next to each
-- other. Nothing looks a message up without its user, so one index is gone; the index by user has deleted messages, too,
-- since the erasure of a user and the export of a person's data read those.

ALTER TABLE notifications
    DROP CONSTRAINT notifications_pkey,
    ADD PRIMARY KEY (partition, "offset", "index", user_id, channel, template);

DROP INDEX notifications_by_outbound;
DROP INDEX notifications_of_user;
CREATE INDEX notifications_of_user ON notifications (user_id, outbound_offset DESC);
