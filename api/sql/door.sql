-- The door: its staff, its scans, the people inside. Reads of the projections.

-- name: door_of_event
-- $1 event, $2 the asking user.
SELECT events.*, EXISTS (
    SELECT FROM event_staff WHERE event_staff.event_id = events.id AND member_id = $2 AND active
) AS staff
FROM events WHERE id = $1;

-- name: tickets_by_ids
SELECT * FROM tickets WHERE id = ANY ($1::text[]);

-- name: scans_at
-- The outcomes of the commands at these offsets ($2).
SELECT * FROM check_ins WHERE event_id = $1 AND "offset" = ANY ($2::bigint[]);

-- name: scans_of_event
-- $1 event, $2 kind (null: any; inside: accepted and not undone), $3 ticket (null: any), $4 cursor, $5 limit.
SELECT * FROM (
    SELECT check_ins.*, tickets.ticket_type_id, tickets.ordinal,
           check_ins.kind = 'accepted' AND tickets.checked_in_at = check_ins.scanned_at
               AND tickets.gate = check_ins.gate AND tickets.scanner = check_ins.scanner AS inside
    FROM check_ins LEFT JOIN tickets ON tickets.id = check_ins.ticket_id
    WHERE check_ins.event_id = $1 AND ($3::text IS NULL OR check_ins.ticket_id = $3)
) AS scans
WHERE ($2::text IS NULL OR kind = $2 OR ($2 = 'inside' AND inside))
  AND ($4::bigint IS NULL OR "offset" < $4)
ORDER BY "offset" DESC
LIMIT $5;

-- name: door_counts
SELECT ticket_type_id, gate, count(*) AS checked_in
FROM tickets
WHERE event_id = $1 AND has_history AND checked_in_at > 0 AND status = 'valid'
GROUP BY ticket_type_id, gate;

-- name: door_refused
SELECT count(*) AS refused FROM check_ins WHERE event_id = $1 AND kind = 'refused';

-- name: staff_member
SELECT member_id, added_at, 'working' AS status, 0::bigint AS expires_at
FROM event_staff WHERE event_id = $1 AND member_id = $2 AND active
UNION ALL
SELECT member_id, invited_at, status, expires_at
FROM staff_invitations WHERE event_id = $1 AND member_id = $2 AND status = 'invited';

-- name: staff_of_event
SELECT * FROM (
    SELECT member_id, added_at, 'working' AS status, 0::bigint AS expires_at
    FROM event_staff WHERE event_id = $1 AND active
    UNION ALL
    SELECT member_id, invited_at, status, expires_at
    FROM staff_invitations WHERE event_id = $1 AND status = 'invited'
) AS staff
WHERE $2::bigint IS NULL OR (added_at, member_id) < ($2, $3::text)
ORDER BY added_at DESC, member_id DESC
LIMIT $4;

-- name: events_of_staff
SELECT events.* FROM event_staff JOIN events ON events.id = event_staff.event_id
WHERE member_id = $1 AND active AND events.status <> 'deleted'
  AND ($2::bigint IS NULL OR (starts_at, id) > ($2, $3::text))
ORDER BY starts_at, id
LIMIT $4;
