-- The inbox.

-- name: put_notifications
-- The primary key is the message's identity, so a message that comes twice is stored once. The user's preference is
-- read now and stays with the row. Nothing is stored for an erased user. Returns the users with new messages.
-- The counter's row is locked until the commit, so messages become visible in the order of their numbers, also when
-- several processes write.
WITH numbers AS (
    UPDATE inbox_counter SET last = last + cardinality($1::text[]) RETURNING last - cardinality($1::text[]) AS last
)
INSERT INTO notifications (
    user_id, partition, "offset", "index", channel, template, kind, event_id, reservation_id, data, created_at,
    outbound_partition, outbound_offset, inbox, stream)
SELECT m.user_id, partition, "offset", "index", channel, template, m.kind, event_id, reservation_id, data::jsonb,
       created_at, 0, numbers.last + m.place, COALESCE(p.inbox, true) AS inbox, COALESCE(p.stream, true)
FROM unnest(
    $1::text[], $2::integer[], $3::bigint[], $4::integer[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
    $10::text[], $11::bigint[])
    WITH ORDINALITY
    AS m (user_id, partition, "offset", "index", channel, template, kind, event_id, reservation_id, data, created_at,
          place)
CROSS JOIN numbers
LEFT JOIN notification_preferences AS p ON p.recipient = m.user_id AND p.kind = m.kind
WHERE NOT EXISTS (SELECT FROM erased_users AS e WHERE e.user_id = m.user_id)
ON CONFLICT (user_id, partition, "offset", "index", channel, template) DO NOTHING
RETURNING user_id;
