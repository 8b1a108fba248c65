-- What the checker reads of the projections, by partition.

-- name: reservations
SELECT id, event_id, user_id, ticket_type_id, status, quantity, seats, amount_minor, currency, expires_at, fingerprint,
       partition, "offset", created_at, reason, detail, attempt_id, payment_token, payment, payment_id, refund_id,
       ticket_ids, promo_code, access_code, extended, warned, mailbox, detail_at, void_places, kept_minor, owed_minor,
       refunds_open
FROM reservations WHERE partition = $1;

-- name: events
SELECT id, status FROM events WHERE partition = $1;

-- name: ticket_types
SELECT event_id, id, ordinal, kind, price_minor,
       CASE WHEN kind = 'seated' THEN rows::bigint * seats_per_row ELSE capacity END AS total, max_per_order, max_per_user,
       hidden, pool_id
FROM ticket_types WHERE partition = $1;

-- name: locked
SELECT event_id, place FROM observed_seat_locks WHERE partition = $1 AND locked;

-- name: live_claims
SELECT event_id, ticket_type_id, seat, reservation_id, status
FROM seat_claims WHERE partition = $1 AND status IN ('held', 'sold');

-- name: tickets
SELECT id, event_id, reservation_id, user_id, seat, ordinal, status, version, checked_in_at, gate
FROM tickets WHERE partition = $1;

-- name: pools
SELECT event_id, id, capacity FROM pools WHERE partition = $1;

-- name: codes
SELECT event_id, id, code, kind, value, uses_max, places_max, ticket_type_ids, valid_from_at, valid_until_at, disabled
FROM codes WHERE partition = $1;

-- name: seat_blocks
SELECT event_id, id, ticket_type_id, seats, quantity FROM seat_blocks WHERE partition = $1 AND quantity > 0;

-- name: event_staff
SELECT event_id, member_id FROM event_staff WHERE partition = $1 AND active;

-- name: waitlist_entries
SELECT event_id, id, user_id, ticket_type_id, quantity, "offset", status, mailbox
FROM waitlist_entries WHERE partition = $1;

-- name: refunds
SELECT event_id, payment_id, refund_key, status, CASE status WHEN 'refunded' THEN refunded_minor ELSE amount_minor END
FROM refunds WHERE partition = $1;

-- name: disputes
SELECT event_id, dispute_id, reservation_id, status, amount_minor, charged_minor FROM disputes WHERE partition = $1;

-- name: check_ins
SELECT event_id, count(*) FROM check_ins WHERE partition = $1 GROUP BY event_id;

-- name: inbox
SELECT "offset", "index", user_id, channel, template, kind, event_id, reservation_id, created_at, data::text AS data
FROM notifications WHERE partition = $1;

-- name: mails
SELECT "offset", "index", user_id, 'mail' AS channel, template, kind, event_id, reservation_id, created_at,
       data::text AS data
FROM mail_deliveries WHERE partition = $1;

-- name: erased
SELECT user_id FROM erased_users;

-- name: positions
SELECT partition, "offset" FROM projection_positions WHERE consumer = 'projections';

-- name: is_in_inbox
SELECT EXISTS (
    SELECT FROM notifications WHERE user_id = $1 AND partition = $2 AND "offset" = $3 AND "index" = $4
    UNION ALL
    SELECT FROM erased_users WHERE user_id = $1
);

-- name: open_payments
-- Attempts that the bank, or its answer, has still to settle.
SELECT count(*) FROM payments WHERE status IN ('requested', 'refund-requested');

-- name: open_holds
SELECT count(*) FROM reservations WHERE status = 'held' AND expires_at < $1;

-- name: bank_captured
SELECT payment_id, amount_minor FROM sandbox.payments WHERE outcome = 'captured';

-- name: bank_refunded
SELECT payment_id, idempotency_key, amount_minor FROM sandbox.refunds WHERE status = 'succeeded';

-- name: transfers
SELECT event_id, id, ticket_id, user_id, to_user_id, expires_at, status FROM transfers WHERE partition = $1;

-- name: staff_invitations
SELECT event_id, member_id, status, expires_at FROM staff_invitations WHERE partition = $1;
