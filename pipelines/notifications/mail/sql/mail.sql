-- Due mails, and their outcomes.

-- name: put_mails
-- The key is the message's identity, so a message that comes twice is stored once. The user's preference is read now and
-- stays with the row; a kind that is off by default leaves no row without one. With $12, a failed mail is due again
-- (`circle dlq redrive`).
INSERT INTO mail_deliveries AS t (
    user_id, partition, "offset", "index", template, kind, event_id, reservation_id, data, created_at,
    outbound_partition, outbound_offset, status, trace)
SELECT m.user_id, partition, "offset", "index", template, m.kind, event_id, reservation_id, data::jsonb, created_at,
       greatest(partition, 0), "offset", CASE WHEN COALESCE(p.mail, true) THEN 'pending' ELSE 'suppressed' END,
       trace
FROM unnest(
    $1::text[], $2::integer[], $3::bigint[], $4::integer[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
    $10::bigint[], $11::boolean[], $13::text[])
    AS m (user_id, partition, "offset", "index", template, kind, event_id, reservation_id, data, created_at,
          by_default, trace)
LEFT JOIN notification_preferences AS p ON p.recipient = m.user_id AND p.kind = m.kind
WHERE m.by_default OR p.mail
ON CONFLICT (user_id, partition, "offset", "index", template) DO UPDATE
SET status = excluded.status, attempts = 0, due_at = now(), error = '', changed_at = now()
WHERE $12::boolean AND t.status = 'failed'
RETURNING status;

-- name: claim_mails
-- A process that claims a mail has it for $1 seconds; if the process dies, the mail is due again. At most $2 mails, of
-- $4 events behind the event $3, and of mails without an event. Organizers take turns, so that a large event does not
-- delay the others. A mail without an event counts for its reader. Returns the event to go on behind, if there may be
-- more.
WITH RECURSIVE with_mails AS (
    (SELECT left(event_id, 64) AS key, 1 AS number FROM mail_deliveries
     WHERE status = 'pending' AND left(event_id, 64) > $3::text AND due_at <= now()
     ORDER BY left(event_id, 64) LIMIT 1)
    UNION ALL
    SELECT following.key, w.number + 1
    FROM with_mails AS w
    CROSS JOIN LATERAL (
        SELECT left(event_id, 64) AS key FROM mail_deliveries
        WHERE status = 'pending' AND left(event_id, 64) > w.key AND due_at <= now()
        ORDER BY left(event_id, 64) LIMIT 1
    ) AS following
    WHERE w.number < $4::integer
), keys AS (
    SELECT '' AS key UNION ALL SELECT key FROM with_mails
), ranked AS (
    SELECT m.id, m.due_at,
           row_number() OVER (PARTITION BY COALESCE(e.organizer_id, NULLIF(keys.key, ''), m.user_id) ORDER BY m.due_at, m.id) AS turn
    FROM keys
    LEFT JOIN events AS e ON e.id = keys.key
    CROSS JOIN LATERAL (
        SELECT id, user_id, due_at FROM mail_deliveries
        WHERE status = 'pending' AND left(event_id, 64) = keys.key AND due_at <= now()
        ORDER BY due_at LIMIT (SELECT greatest(1, 4 * $2::integer / count(*)) FROM keys)
    ) AS m
), chosen AS (
    SELECT id FROM ranked ORDER BY turn, due_at, id LIMIT $2::integer
), due AS (
    SELECT id FROM mail_deliveries WHERE id IN (SELECT id FROM chosen) AND status = 'pending' AND due_at <= now()
    FOR UPDATE SKIP LOCKED
)
UPDATE mail_deliveries AS d
SET attempts = d.attempts + 1, due_at = now() + make_interval(secs => $1)
FROM due
WHERE d.id = due.id
RETURNING d.id, (SELECT key FROM with_mails WHERE number = $4::integer) AS behind;

-- name: mails
-- The claimed mails with data that is read only now: the address, and the event's rows. Drafts are left out, and so are
-- hidden ticket types for a user who never got a place of them.
SELECT m.id, m.user_id, m.partition, m."offset", m."index", m.template, m.kind, m.event_id, m.reservation_id,
       m.data::text AS data, m.created_at, to_timestamp(LEAST(GREATEST(m.created_at, 0), 253402300799000000) / 1000000.0) AS sent_at, m.outbound_partition, m.outbound_offset, m.attempts,
       m.trace,
       u.email, u.name, u.email_verified_at IS NOT NULL AS verified, e.title, e.venue, e.starts_at, e.timezone, t.name AS ticket_type, r.currency,
       CASE WHEN r.amount_minor > 0 OR r.status <> 'rejected' THEN r.amount_minor ELSE t.price_minor END AS price_minor
FROM mail_deliveries AS m
LEFT JOIN users AS u ON u.id = CASE
    WHEN m.user_id ~ '^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$' THEN m.user_id::uuid END
LEFT JOIN events AS e ON e.id = m.event_id AND e.status NOT IN ('draft', 'deleted')
LEFT JOIN reservations AS r ON r.event_id = m.event_id AND r.id = m.reservation_id
LEFT JOIN ticket_types AS t ON t.event_id = m.event_id AND t.id = COALESCE(m.data ->> 'ticket_type_id', r.ticket_type_id)
    AND NOT (t.hidden AND m.template = 'reservation.refused')
WHERE m.id = ANY ($1::bigint[])
ORDER BY m.id;

-- name: settle_mail
-- $2 status, $3 error, $4 seconds until it is due again, $5 whether the attempt counts.
UPDATE mail_deliveries
SET status = $2, error = $3, due_at = now() + make_interval(secs => $4), changed_at = now(),
    attempts = attempts - CASE WHEN $5 THEN 0 ELSE 1 END
WHERE id = $1 AND status = 'pending';

-- name: hold_mail
-- A mail to an unproven address is held until the user proves it. The lock orders this statement and a proof at the
-- same moment, so no mail is held for a proven address.
WITH account AS (SELECT email_verified_at FROM users WHERE id = $2::uuid FOR SHARE)
UPDATE mail_deliveries
SET status = CASE WHEN (SELECT email_verified_at FROM account) IS NULL THEN 'held' ELSE 'pending' END,
    error = '', due_at = now(), changed_at = now(), attempts = attempts - 1
WHERE id = $1 AND status = 'pending';

-- name: prune_mails
-- A mail cannot come again if it was finished or held for longer than notifications.outbound keeps records.
DELETE FROM mail_deliveries WHERE id IN (
    SELECT id FROM mail_deliveries WHERE status <> 'pending' AND changed_at < now() - make_interval(days => $1) LIMIT $2
);

-- name: mails_waiting
SELECT count(*) FROM (SELECT FROM mail_deliveries WHERE status = 'pending' LIMIT $1) AS waiting;

-- name: mail_tickets
-- The tickets of a reservation as they are now, also void and transferred ones: so the caller sees that the rows exist.
-- The columns are those of `ticket_document` in the API.
SELECT tickets.id, tickets.version, tickets.status, tickets.seat, tickets.ordinal, tickets.user_id, tickets.issued_at,
       tickets.event_id, events.title, events.venue, events.starts_at, events.ends_at, events.timezone,
       ticket_types.name AS ticket_type,
       greatest(tickets.updated_offset, events.updated_offset) AS revision,
       EXISTS (SELECT FROM disputes WHERE disputes.event_id = tickets.event_id
               AND disputes.reservation_id = tickets.reservation_id AND disputes.status = 'open') AS disputed
FROM tickets
JOIN events ON events.id = tickets.event_id
LEFT JOIN ticket_types ON ticket_types.event_id = tickets.event_id AND ticket_types.id = tickets.ticket_type_id
WHERE tickets.event_id = $1::text AND tickets.reservation_id = $2::text
ORDER BY tickets.ordinal, tickets.id LIMIT $3::bigint;
