-- What the bench of the read side asks of its database, which has one log.

-- name: slowest_position
-- $1: the partition, $2: the number of branches. No row before each branch has a position.
SELECT min("offset") FROM projection_positions WHERE partition = $1 HAVING count(*) = $2;

-- name: counts
SELECT (SELECT count(*) FROM reservations) AS reservations, (SELECT count(*) FROM notifications) AS messages;
