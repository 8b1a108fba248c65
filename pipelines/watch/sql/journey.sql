-- What the rows say about one reservation, for `circle follow`.
-- persisted_at: the commit that wrote the row as it is. NULL where PostgreSQL keeps no times of commits, or no longer.

-- name: reservation
SELECT r.id, r.event_id, r.partition, r."offset", r.user_id, r.status, r.reason, r.quantity, r.payment, r.created_at,
       r.updated_at, r.updated_offset, r.updated_index,
       CASE WHEN current_setting('track_commit_timestamp') = 'on' THEN pg_xact_commit_timestamp(r.xmin) END AS persisted_at
FROM reservations AS r WHERE r.id = $1::text ORDER BY r.updated_at DESC LIMIT 1;

-- name: applied
-- The next record of tickets.facts that each branch reads on a partition.
SELECT consumer, next_offset FROM projection_positions WHERE partition = $1::integer;

-- name: organizer
SELECT organizer_id FROM events WHERE id = $1::text;

-- name: tickets
SELECT id, status, issued_at, partition, updated_offset, updated_index,
       CASE WHEN current_setting('track_commit_timestamp') = 'on' THEN pg_xact_commit_timestamp(t.xmin) END AS persisted_at
FROM tickets AS t WHERE event_id = $1::text AND reservation_id = $2::text ORDER BY ordinal;

-- name: payments
SELECT attempt_id, status, reason, partition, updated_offset, updated_index,
       CASE WHEN current_setting('track_commit_timestamp') = 'on' THEN pg_xact_commit_timestamp(p.xmin) END AS persisted_at
FROM payments AS p WHERE event_id = $1::text AND reservation_id = $2::text ORDER BY updated_offset, updated_index;

-- name: messages
-- Users and positions are given, because the key of a message begins with its user.
-- A message that was read or deleted has a later version than the one that its fact wrote.
SELECT kind, channel, user_id, n.partition, n."offset", n."index", created_at, read_at,
       CASE WHEN current_setting('track_commit_timestamp') = 'on' AND read_at = 0 AND deleted_at = 0
            THEN pg_xact_commit_timestamp(n.xmin) END AS persisted_at
FROM notifications AS n
JOIN unnest($2::integer[], $3::bigint[]) AS p (partition, "offset")
    ON n.partition = p.partition AND n."offset" = p."offset"
WHERE user_id = ANY ($1::text[]);

-- name: mails
SELECT kind, user_id, m.partition, m."offset", m."index", status, attempts, due_at, changed_at, error
FROM mail_deliveries AS m
JOIN unnest($2::integer[], $3::bigint[]) AS p (partition, "offset")
    ON m.partition = p.partition AND m."offset" = p."offset"
WHERE user_id = ANY ($1::text[]);

-- name: webhooks
SELECT d.id, d.type, d.partition, d."offset", d."index", d.status, d.attempts, d.answer, d.error, d.created_at,
       d.attempted_at
FROM webhook_endpoints AS e
JOIN webhook_deliveries AS d ON d.endpoint_id = e.id
JOIN unnest($2::integer[], $3::bigint[]) AS p (partition, "offset")
    ON d.partition = p.partition AND d."offset" = p."offset"
WHERE e.owner = $1::text;
