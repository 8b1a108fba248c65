-- All data about a person, in sections, by pages: $1 user, $2 and $3 the end of the last page, $4 limit. Rows are
-- whole, so a new column is in the export at once. Data that is not the person's is left out: positions on the log,
-- secrets, the other side of a transfer. Times that are whole numbers are microseconds since 1970.

-- name: export_account
SELECT (to_jsonb(x) - 'password_hash')::text AS item, (extract(epoch FROM x.created_at) * 1000000)::bigint AS sort, x.id::text AS id FROM users AS x
WHERE x.id = $1::text::uuid
  AND ($2::bigint IS NULL OR ((extract(epoch FROM x.created_at) * 1000000)::bigint, x.id::text) > ($2::bigint, $3::text))
ORDER BY (extract(epoch FROM x.created_at) * 1000000)::bigint, x.id::text LIMIT $4::bigint;

-- name: export_sessions
SELECT (to_jsonb(x) - 'user_id')::text AS item, (extract(epoch FROM x.created_at) * 1000000)::bigint AS sort, x.id::text AS id FROM sessions AS x
WHERE x.user_id = $1::text::uuid
  AND ($2::bigint IS NULL OR ((extract(epoch FROM x.created_at) * 1000000)::bigint, x.id::text) > ($2::bigint, $3::text))
ORDER BY (extract(epoch FROM x.created_at) * 1000000)::bigint, x.id::text LIMIT $4::bigint;

-- name: export_known_networks
SELECT (to_jsonb(x) - 'user_id')::text AS item, (extract(epoch FROM x.last_used_at) * 1000000)::bigint AS sort, x.network AS id FROM known_networks AS x
WHERE x.user_id = $1::text::uuid
  AND ($2::bigint IS NULL OR ((extract(epoch FROM x.last_used_at) * 1000000)::bigint, x.network) > ($2::bigint, $3::text))
ORDER BY (extract(epoch FROM x.last_used_at) * 1000000)::bigint, x.network LIMIT $4::bigint;

-- name: export_security_events
SELECT (to_jsonb(x) - 'user_id' - 'once')::text AS item, x.id AS sort, ''::text AS id FROM security_events AS x
WHERE x.user_id = $1::text::uuid
  AND ($2::bigint IS NULL OR (x.id, ''::text) > ($2::bigint, $3::text))
ORDER BY x.id, ''::text LIMIT $4::bigint;

-- name: export_preferences
SELECT (to_jsonb(x) - 'user_id' - 'recipient')::text AS item, 0::bigint AS sort, x.kind AS id FROM notification_preferences AS x
WHERE x.user_id = $1::text::uuid
  AND ($2::bigint IS NULL OR (0::bigint, x.kind) > ($2::bigint, $3::text))
ORDER BY 0::bigint, x.kind LIMIT $4::bigint;

-- name: export_reservations
SELECT (to_jsonb(x) - 'partition' - 'updated_index' - 'updated_offset' - 'payment_token' - 'fingerprint')::text AS item, x.created_at AS sort, x.event_id || x.id AS id FROM reservations AS x
WHERE x.user_id = $1::text
  AND ($2::bigint IS NULL OR (x.created_at, x.event_id || x.id) > ($2::bigint, $3::text))
ORDER BY x.created_at, x.event_id || x.id LIMIT $4::bigint;

-- name: export_payments
SELECT (to_jsonb(x) - 'partition' - 'updated_index' - 'updated_offset' - 'payment_token')::text AS item, x.updated_offset AS sort, x.event_id || x.attempt_id AS id FROM payments AS x
WHERE x.user_id = $1::text
  AND ($2::bigint IS NULL OR (x.updated_offset, x.event_id || x.attempt_id) > ($2::bigint, $3::text))
ORDER BY x.updated_offset, x.event_id || x.attempt_id LIMIT $4::bigint;

-- name: export_refunds
SELECT (to_jsonb(x) - 'partition' - 'updated_index' - 'updated_offset')::text AS item, x.requested_at AS sort, x.event_id || x.refund_key AS id FROM refunds AS x
WHERE x.user_id = $1::text
  AND ($2::bigint IS NULL OR (x.requested_at, x.event_id || x.refund_key) > ($2::bigint, $3::text))
ORDER BY x.requested_at, x.event_id || x.refund_key LIMIT $4::bigint;

-- name: export_disputes
SELECT (to_jsonb(x) - 'partition' - 'updated_index' - 'updated_offset')::text AS item, x.updated_offset AS sort, x.event_id || x.dispute_id AS id FROM disputes AS x
WHERE x.user_id = $1::text
  AND ($2::bigint IS NULL OR (x.updated_offset, x.event_id || x.dispute_id) > ($2::bigint, $3::text))
ORDER BY x.updated_offset, x.event_id || x.dispute_id LIMIT $4::bigint;

-- name: export_tickets
SELECT (to_jsonb(x) - 'partition' - 'updated_index' - 'updated_offset' - 'checked_in_by')::text AS item, x.issued_at AS sort, x.id AS id FROM tickets AS x
WHERE x.user_id = $1::text
  AND ($2::bigint IS NULL OR (x.issued_at, x.id) > ($2::bigint, $3::text))
ORDER BY x.issued_at, x.id LIMIT $4::bigint;

-- name: export_waiting
SELECT (to_jsonb(x) - 'partition' - 'updated_index' - 'updated_offset')::text AS item, x.created_at AS sort, x.event_id || x.id AS id FROM waitlist_entries AS x
WHERE x.user_id = $1::text
  AND ($2::bigint IS NULL OR (x.created_at, x.event_id || x.id) > ($2::bigint, $3::text))
ORDER BY x.created_at, x.event_id || x.id LIMIT $4::bigint;

-- name: export_transfers_out
SELECT (to_jsonb(x) - 'partition' - 'updated_index' - 'updated_offset' - 'to_user_id')::text AS item, x.offered_at AS sort, x.event_id || x.id AS id FROM transfers AS x
WHERE x.user_id = $1::text
  AND ($2::bigint IS NULL OR (x.offered_at, x.event_id || x.id) > ($2::bigint, $3::text))
ORDER BY x.offered_at, x.event_id || x.id LIMIT $4::bigint;

-- name: export_transfers_in
SELECT (to_jsonb(x) - 'partition' - 'updated_index' - 'updated_offset' - 'user_id')::text AS item, x.offered_at AS sort, x.event_id || x.id AS id FROM transfers AS x
WHERE x.to_user_id = $1::text
  AND ($2::bigint IS NULL OR (x.offered_at, x.event_id || x.id) > ($2::bigint, $3::text))
ORDER BY x.offered_at, x.event_id || x.id LIMIT $4::bigint;

-- name: export_invitations
SELECT (to_jsonb(x) - 'partition' - 'updated_index' - 'updated_offset')::text AS item, x.invited_at AS sort, x.event_id AS id FROM staff_invitations AS x
WHERE x.member_id = $1::text
  AND ($2::bigint IS NULL OR (x.invited_at, x.event_id) > ($2::bigint, $3::text))
ORDER BY x.invited_at, x.event_id LIMIT $4::bigint;

-- name: export_staff
SELECT (to_jsonb(x) - 'partition' - 'updated_index' - 'updated_offset')::text AS item, x.added_at AS sort, x.event_id AS id FROM event_staff AS x
WHERE x.member_id = $1::text
  AND ($2::bigint IS NULL OR (x.added_at, x.event_id) > ($2::bigint, $3::text))
ORDER BY x.added_at, x.event_id LIMIT $4::bigint;

-- name: export_check_ins
SELECT (to_jsonb(x) - 'by_user_id')::text AS item, x.decided_at AS sort, x.event_id || x."offset"::text || '-' || x."index"::text AS id FROM check_ins AS x
WHERE x.user_id = $1::text AND x.kind <> 'refused'
  AND ($2::bigint IS NULL OR (x.decided_at, x.event_id || x."offset"::text || '-' || x."index"::text) > ($2::bigint, $3::text))
ORDER BY x.decided_at, x.event_id || x."offset"::text || '-' || x."index"::text LIMIT $4::bigint;

-- name: export_inbox
SELECT (to_jsonb(x) - 'outbound_partition' - 'outbound_offset' - 'partition' - 'index')::text AS item, x.outbound_offset AS sort, x.partition::text || '-' || x."index"::text || x.channel || x.template AS id FROM notifications AS x
WHERE x.user_id = $1::text AND x.deleted_at = 0
  AND ($2::bigint IS NULL OR (x.outbound_offset, x.partition::text || '-' || x."index"::text || x.channel || x.template) > ($2::bigint, $3::text))
ORDER BY x.outbound_offset, x.partition::text || '-' || x."index"::text || x.channel || x.template LIMIT $4::bigint;

-- name: export_mails
SELECT (to_jsonb(x) - 'outbound_partition' - 'outbound_offset' - 'partition' - 'index')::text AS item, x.id AS sort, ''::text AS id FROM mail_deliveries AS x
WHERE x.user_id = $1::text
  AND ($2::bigint IS NULL OR (x.id, ''::text) > ($2::bigint, $3::text))
ORDER BY x.id, ''::text LIMIT $4::bigint;

-- name: export_events
SELECT (to_jsonb(x) - 'partition' - 'updated_index' - 'updated_offset' - 'search_text')::text AS item, x.created_at AS sort, x.id AS id FROM events AS x
WHERE x.organizer_id = $1::text
  AND ($2::bigint IS NULL OR (x.created_at, x.id) > ($2::bigint, $3::text))
ORDER BY x.created_at, x.id LIMIT $4::bigint;

-- name: export_webhooks
SELECT (to_jsonb(x) - 'organizer_id' - 'owner' - 'secret' - 'former_secret')::text AS item, (extract(epoch FROM x.created_at) * 1000000)::bigint AS sort, x.id::text AS id FROM webhook_endpoints AS x
WHERE x.organizer_id = $1::text::uuid
  AND ($2::bigint IS NULL OR ((extract(epoch FROM x.created_at) * 1000000)::bigint, x.id::text) > ($2::bigint, $3::text))
ORDER BY (extract(epoch FROM x.created_at) * 1000000)::bigint, x.id::text LIMIT $4::bigint;
