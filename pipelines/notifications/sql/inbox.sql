-- The inbox, filled from notifications.outbound. The positions' statements are those of projections.sql.

-- name: put_notifications
-- The primary key is the message's identity, so a message that comes twice is stored once. The user's preference is
-- read now and stays with the row. Nothing is stored for an erased user. Returns the users with new messages.
INSERT INTO notifications (
    user_id, partition, "offset", "index", channel, template, kind, event_id, reservation_id, data, created_at,
    outbound_partition, outbound_offset, inbox, stream)
SELECT m.user_id, partition, "offset", "index", channel, template, m.kind, event_id, reservation_id, data::jsonb,
       created_at, outbound_partition, outbound_offset, COALESCE(p.inbox, true), COALESCE(p.stream, true)
FROM unnest(
    $1::text[], $2::integer[], $3::bigint[], $4::integer[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
    $10::text[], $11::bigint[], $12::integer[], $13::bigint[])
    AS m (user_id, partition, "offset", "index", channel, template, kind, event_id, reservation_id, data, created_at,
          outbound_partition, outbound_offset)
LEFT JOIN notification_preferences AS p ON p.recipient = m.user_id AND p.kind = m.kind
WHERE NOT EXISTS (SELECT FROM erased_users AS e WHERE e.user_id = m.user_id)
ON CONFLICT (user_id, partition, "offset", "index", channel, template) DO NOTHING
RETURNING user_id;
