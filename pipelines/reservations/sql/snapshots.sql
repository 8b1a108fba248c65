-- The rows that a reservations worker loads: a partition at its assignment, an event at its first command. Each set of
-- queries runs in one REPEATABLE READ transaction, so rows and position show one moment. Texts in double angle brackets
-- stand for columns: see pipelines/columns.py.

-- name: position
-- The position of this partition's projection; no row before its first fact.
SELECT "offset", "index", next_offset, log_time
FROM projection_positions
WHERE consumer = $1 AND partition = $2;

-- name: event_ids
-- Every event of the partition that has rows: created ones, those that exist only in refusals, and those with a fact
-- that could not be written.
SELECT id FROM events WHERE partition = $1
UNION
SELECT event_id FROM reservations WHERE partition = $1 AND reason = 'event-not-found'
UNION
SELECT event_id FROM facts_set_aside WHERE partition = $1;

-- name: deadlines
-- The earliest deadline of each event. $2: how long before its deadline a hold's buyer is warned. $3: the shortest hold
-- with a warning. 0: started work is waiting.
SELECT event_id, min(due_at)
FROM (
    SELECT event_id,
           CASE WHEN warned OR expires_at - created_at < $3::bigint THEN expires_at ELSE expires_at - $2::bigint END
    FROM reservations WHERE partition = $1 AND status = 'held'
    UNION ALL
    SELECT id, CASE WHEN reminder_at <> reminded_for THEN LEAST(reminder_at, ends_at) ELSE ends_at END
    FROM events WHERE partition = $1 AND status = 'published'
    UNION ALL
    SELECT event_id, until_at FROM seat_blocks WHERE partition = $1 AND until_at > 0 AND quantity > 0
    UNION ALL
    SELECT event_id, expires_at FROM transfers WHERE partition = $1 AND status = 'offered'
    UNION ALL
    SELECT event_id, 0 FROM chores WHERE partition = $1 AND NOT finished
    UNION ALL
    SELECT event_id, 0 FROM waitlist_entries WHERE partition = $1 AND status = 'waiting'
    UNION ALL
    SELECT id, 0 FROM events AS e
    WHERE partition = $1 AND status = 'cancelled'
      AND EXISTS (SELECT FROM reservations WHERE event_id = e.id AND status IN ('held', 'confirmed'))
) AS deadlines (event_id, due_at)
GROUP BY event_id
ORDER BY min(due_at);

-- name: event
SELECT id, organizer_id, status, reminded_for, created_at, published_at, <<EventTerms: {name}>>
FROM events WHERE id = $1;

-- name: ticket_types
SELECT id, ordinal, <<TicketTypeTerms: {name}>> FROM ticket_types WHERE event_id = $1 ORDER BY ordinal, id;

-- name: reservations
-- All reservations, in the order of their requests; the columns are in the order of Reservation's fields.
SELECT id, user_id, ticket_type_id, status, quantity, seats, amount_minor, currency, expires_at, fingerprint, partition,
       "offset", created_at, promo_code, access_code, mailbox, reason, detail, detail_at, attempt_id, payment_token,
       payment, payment_id, extended::int, warned::int
FROM reservations WHERE event_id = $1 ORDER BY "offset", id;

-- name: amended
-- Data of only few reservations. It is read separately, so that the query for all others stays cheap.
SELECT r.id, r.void_places, r.refunds_open, r.kept_minor, r.owed_minor, COALESCE(d.declined, '{}')
FROM reservations AS r
LEFT JOIN (
    SELECT reservation_id, array_agg(attempt_id ORDER BY attempt_id COLLATE "C") AS declined FROM payments
    WHERE event_id = $1 AND status = 'declined' GROUP BY reservation_id
) AS d ON d.reservation_id = r.id
WHERE r.event_id = $1
  AND (r.void_places <> '{}' OR r.refunds_open <> '{}' OR r.kept_minor <> 0
       OR r.owed_minor <> 0 OR d.declined IS NOT NULL);

-- name: locked_places
SELECT place FROM observed_seat_locks WHERE event_id = $1 AND locked ORDER BY place;

-- name: which_tables
-- Most events have no rows in these tables; then the single queries are left out.
SELECT EXISTS (SELECT FROM pools WHERE event_id = $1) AS pools,
       EXISTS (SELECT FROM codes WHERE event_id = $1) AS codes,
       EXISTS (SELECT FROM seat_blocks WHERE event_id = $1) AS seat_blocks,
       EXISTS (SELECT FROM tickets WHERE event_id = $1 AND has_history) AS tickets,
       EXISTS (SELECT FROM waitlist_entries WHERE event_id = $1) AS waitlist,
       EXISTS (SELECT FROM chores WHERE event_id = $1) AS chores,
       EXISTS (SELECT FROM event_staff WHERE event_id = $1) AS staff,
       EXISTS (SELECT FROM transfers WHERE event_id = $1) AS transfers,
       EXISTS (SELECT FROM staff_invitations WHERE event_id = $1) AS invitations,
       EXISTS (SELECT FROM schedules WHERE event_id = $1) AS schedule,
       EXISTS (SELECT FROM refunds WHERE event_id = $1) AS refunds,
       EXISTS (SELECT FROM disputes WHERE event_id = $1) AS disputes,
       EXISTS (SELECT FROM facts_set_aside WHERE event_id = $1) AS incomplete;

-- name: pools
SELECT id, name, capacity FROM pools WHERE event_id = $1 ORDER BY id;

-- name: codes
SELECT id, code, kind, value, uses_max, ticket_type_ids, valid_from_at, valid_until_at, disabled, places_max
FROM codes WHERE event_id = $1 ORDER BY id;

-- name: seat_blocks
-- Freed blocks too: a repeated request for one must be recognised.
SELECT id, ticket_type_id, seats, quantity, until_at, label, "offset", releases
FROM seat_blocks WHERE event_id = $1 ORDER BY "offset", id;

-- name: tickets
-- Tickets that were handed on or scanned, with undone scans. All others are as their reservation says.
WITH undone AS (
    SELECT ticket_id, array_agg(concat_ws(chr(31), scanned_at, gate, scanner, by_user_id)
                                ORDER BY "offset", "index") AS scans
    FROM check_ins AS c
    WHERE event_id = $1 AND kind = 'accepted'
      AND EXISTS (SELECT FROM check_ins AS later
                  WHERE later.event_id = $1 AND later.ticket_id = c.ticket_id AND later.kind = 'reversed'
                    AND (later."offset", later."index") > (c."offset", c."index"))
    GROUP BY ticket_id
)
SELECT id, reservation_id, CASE seat WHEN '' THEN ordinal::text ELSE seat END, user_id, version, checked_in_at, gate,
       scanner, checked_in_by, COALESCE(scans, '{}')
FROM tickets LEFT JOIN undone ON undone.ticket_id = tickets.id
WHERE event_id = $1 AND has_history AND status = 'valid' ORDER BY id;

-- name: waitlist
SELECT id, user_id, ticket_type_id, quantity, status, "offset", mailbox
FROM waitlist_entries WHERE event_id = $1 ORDER BY "offset", id;

-- name: chores
SELECT c.kind, c.cause, c.changed, COALESCE(r."offset", -1), c.told_id
FROM chores AS c LEFT JOIN reservations AS r ON r.event_id = c.event_id AND r.id = c.told_id
WHERE c.event_id = $1 AND NOT c.finished ORDER BY c.kind;

-- name: staff
SELECT member_id FROM event_staff WHERE event_id = $1 AND active ORDER BY member_id;

-- name: transfers
SELECT id, reservation_id, ticket_id, ticket_type_id, seat, user_id, to_user_id, expires_at
FROM transfers WHERE event_id = $1 AND status = 'offered' ORDER BY id;

-- name: invitations
SELECT member_id, expires_at FROM staff_invitations WHERE event_id = $1 AND status = 'invited' ORDER BY member_id;

-- name: schedule
-- One row for each activity, in order.
SELECT one FROM schedules, unnest(activities) WITH ORDINALITY AS u (one, place)
WHERE event_id = $1 ORDER BY place;

-- name: refunds
SELECT reservation_id, refund_key, payment_id, refund_id,
       CASE status WHEN 'refunded' THEN refunded_minor ELSE amount_minor END, status, origin
FROM refunds WHERE event_id = $1 ORDER BY reservation_id, refund_key;

-- name: disputes
SELECT reservation_id, dispute_id, payment_id, status, amount_minor, charged_minor
FROM disputes WHERE event_id = $1 ORDER BY reservation_id, dispute_id;

-- name: former_owner
-- The transactional id that owns the partition and did not give it back ('': none). Locks the row for raise_epoch.
SELECT owner FROM partition_epochs WHERE partition = $1 FOR UPDATE;

-- name: raise_epoch
-- Ownership: each takeover gets a higher number than all before it, also when several happen at once.
INSERT INTO partition_epochs AS t (partition, epoch, owner) VALUES ($1, 1, $2)
ON CONFLICT (partition) DO UPDATE SET epoch = t.epoch + 1, owner = excluded.owner
RETURNING epoch;

-- name: give_back
-- A clean end: the owner of this epoch has no open transaction. A later epoch has another owner and stays.
UPDATE partition_epochs SET owner = '' WHERE partition = $1 AND epoch = $2;
