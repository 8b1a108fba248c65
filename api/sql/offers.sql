-- Offers of tickets and invitations to doors: reads of the projections.

-- name: receiver_by_email
-- A possible receiver: an account with a verified address.
SELECT id::text FROM users WHERE email = $1::text AND email_verified_at IS NOT NULL;

-- name: receiver_by_id
SELECT id::text FROM users WHERE id = $1::uuid AND email_verified_at IS NOT NULL;

-- name: transfer_by_id
SELECT t.*, e.title, e.starts_at, e.ends_at, e.venue, e.status AS event_status
FROM transfers AS t JOIN events AS e ON e.id = t.event_id
WHERE t.id = $1;

-- name: transfer_open
-- A user's latest offer of a ticket.
SELECT t.*, e.title, e.starts_at, e.ends_at, e.venue, e.status AS event_status
FROM transfers AS t JOIN events AS e ON e.id = t.event_id
WHERE t.event_id = $1 AND t.ticket_id = $2 AND t.user_id = $3
ORDER BY t.offered_at DESC, t.id DESC LIMIT 1;

-- name: transfers_of_user
-- $1 user, $2 direction (in, out, null: both), $3 and $4 cursor, $5 limit; the latest first.
SELECT t.*, e.title, e.starts_at, e.ends_at, e.venue, e.status AS event_status
FROM transfers AS t JOIN events AS e ON e.id = t.event_id
WHERE ((t.user_id = $1 AND $2::text IS DISTINCT FROM 'in') OR (t.to_user_id = $1 AND $2::text IS DISTINCT FROM 'out'))
  AND ($3::bigint IS NULL OR (t.offered_at, t.id) < ($3::bigint, $4::text))
ORDER BY t.offered_at DESC, t.id DESC
LIMIT $5::bigint;

-- name: invitation
SELECT i.*, e.title, e.starts_at, e.ends_at, e.venue, e.status AS event_status
FROM staff_invitations AS i JOIN events AS e ON e.id = i.event_id
WHERE i.event_id = $1 AND i.member_id = $2;

-- name: invitations_of_user
-- $1 user, $2 and $3 cursor, $4 limit; the latest first.
SELECT i.*, e.title, e.starts_at, e.ends_at, e.venue, e.status AS event_status
FROM staff_invitations AS i JOIN events AS e ON e.id = i.event_id
WHERE i.member_id = $1 AND e.status <> 'deleted'
  AND ($2::bigint IS NULL OR (i.invited_at, i.event_id) < ($2::bigint, $3::text))
ORDER BY i.invited_at DESC, i.event_id DESC
LIMIT $4::bigint;
