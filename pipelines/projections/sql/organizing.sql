-- The projections dataflow's rows about organizers' commands, and about the platform's work for them. As in
-- projections.sql: arrays, one element for each row; $1 switches the comparison of positions off for a negative
-- control. Texts in double angle brackets stand for columns: see columns.py.

-- name: put_events
INSERT INTO events AS t (
    id, partition, organizer_id, status, reminded_for, created_at, published_at, cancelled_at, cancel_reason,
    updated_offset, updated_index, <<EventTerms: {name}>>)
SELECT * FROM unnest(
    $2::text[], $3::integer[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
    $10::text[], $11::bigint[], $12::integer[], <<EventTerms from 13: ${number}::{type}[]>>)
ON CONFLICT (id) DO UPDATE SET
    organizer_id = excluded.organizer_id, status = excluded.status, reminded_for = excluded.reminded_for,
    created_at = excluded.created_at, published_at = excluded.published_at, cancelled_at = excluded.cancelled_at,
    cancel_reason = excluded.cancel_reason, updated_offset = excluded.updated_offset,
    updated_index = excluded.updated_index, <<EventTerms: {name} = excluded.{name}>>
WHERE $1::boolean OR (t.updated_offset, t.updated_index) < (excluded.updated_offset, excluded.updated_index);

-- name: patch_events
-- NULL: as it is.
UPDATE events AS t SET
    status = COALESCE(c.status, t.status), reminded_for = COALESCE(c.reminded_for, t.reminded_for),
    published_at = COALESCE(c.published_at, t.published_at),
    cancelled_at = COALESCE(c.cancelled_at, t.cancelled_at),
    cancel_reason = COALESCE(c.cancel_reason, t.cancel_reason),
    updated_offset = c.updated_offset, updated_index = c.updated_index,
    <<EventTerms: {name} = COALESCE(c.{name}, t.{name})>>
FROM unnest(
    $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[], $8::bigint[], $9::integer[],
    <<EventTerms from 10: ${number}::{type}[]>>)
    AS c (id, status, reminded_for, published_at, cancelled_at, cancel_reason, updated_offset, updated_index,
          <<EventTerms: {name}>>)
WHERE t.id = c.id
  AND ($1::boolean OR (t.updated_offset, t.updated_index) < (c.updated_offset, c.updated_index));

-- name: put_ticket_types
INSERT INTO ticket_types AS t (
    id, event_id, partition, ordinal, updated_offset, updated_index, <<TicketTypeTerms: {name}>>)
SELECT * FROM unnest(
    $2::text[], $3::text[], $4::integer[], $5::integer[], $6::bigint[], $7::integer[],
    <<TicketTypeTerms from 8: ${number}::{type}[]>>)
ON CONFLICT (event_id, id) DO UPDATE SET
    ordinal = excluded.ordinal, updated_offset = excluded.updated_offset, updated_index = excluded.updated_index,
    <<TicketTypeTerms: {name} = excluded.{name}>>
WHERE $1::boolean OR (t.updated_offset, t.updated_index) < (excluded.updated_offset, excluded.updated_index);

-- name: patch_ticket_types
-- The whole row, except columns that never change.
UPDATE ticket_types AS t SET
    updated_offset = c.updated_offset, updated_index = c.updated_index,
    <<TicketTypeTerms that change: {name} = c.{name}>>
FROM unnest(
    $2::text[], $3::text[], $4::bigint[], $5::integer[],
    <<TicketTypeTerms that change from 6: ${number}::{type}[]>>)
    AS c (id, event_id, updated_offset, updated_index, <<TicketTypeTerms that change: {name}>>)
WHERE t.event_id = c.event_id AND t.id = c.id
  AND ($1::boolean OR (t.updated_offset, t.updated_index) < (c.updated_offset, c.updated_index));

-- name: put_seat_locks
INSERT INTO observed_seat_locks AS t (event_id, place, partition, locked, updated_offset, updated_index)
SELECT * FROM unnest($2::text[], $3::text[], $4::integer[], $5::boolean[], $6::bigint[], $7::integer[])
ON CONFLICT (event_id, place) DO UPDATE SET
    locked = excluded.locked, updated_offset = excluded.updated_offset, updated_index = excluded.updated_index
WHERE $1::boolean OR (t.updated_offset, t.updated_index) < (excluded.updated_offset, excluded.updated_index);

-- name: put_pools
INSERT INTO pools AS t (event_id, id, partition, name, capacity, updated_offset, updated_index)
SELECT * FROM unnest(
    $2::text[], $3::text[], $4::integer[], $5::text[], $6::integer[], $7::bigint[], $8::integer[])
ON CONFLICT (event_id, id) DO UPDATE SET
    name = excluded.name, capacity = excluded.capacity,
    updated_offset = excluded.updated_offset, updated_index = excluded.updated_index
WHERE $1::boolean OR (t.updated_offset, t.updated_index) < (excluded.updated_offset, excluded.updated_index);

-- name: put_codes
INSERT INTO codes AS t (
    event_id, id, partition, code, kind, value, uses_max, places_max, ticket_type_ids, valid_from_at, valid_until_at,
    disabled, created_at, updated_offset, updated_index)
SELECT event_id, id, partition, code, kind, value, uses_max, places_max,
       ARRAY(SELECT json_array_elements_text(ticket_type_ids)),
       valid_from_at, valid_until_at, disabled, created_at, updated_offset, updated_index
FROM unnest(
    $2::text[], $3::text[], $4::integer[], $5::text[], $6::text[], $7::bigint[], $8::integer[], $9::bigint[],
    $10::json[], $11::bigint[], $12::bigint[], $13::boolean[], $14::bigint[], $15::bigint[], $16::integer[])
    AS c (event_id, id, partition, code, kind, value, uses_max, places_max, ticket_type_ids, valid_from_at,
          valid_until_at, disabled, created_at, updated_offset, updated_index)
ON CONFLICT (event_id, id) DO UPDATE SET
    code = excluded.code, kind = excluded.kind, value = excluded.value, uses_max = excluded.uses_max,
    places_max = excluded.places_max,
    ticket_type_ids = excluded.ticket_type_ids, valid_from_at = excluded.valid_from_at,
    valid_until_at = excluded.valid_until_at, disabled = excluded.disabled, created_at = excluded.created_at,
    updated_offset = excluded.updated_offset, updated_index = excluded.updated_index
WHERE $1::boolean OR (t.updated_offset, t.updated_index) < (excluded.updated_offset, excluded.updated_index);

-- name: patch_codes
UPDATE codes AS t SET
    disabled = c.disabled, updated_offset = c.updated_offset, updated_index = c.updated_index
FROM unnest($2::text[], $3::text[], $4::boolean[], $5::bigint[], $6::integer[])
    AS c (event_id, id, disabled, updated_offset, updated_index)
WHERE t.event_id = c.event_id AND t.id = c.id
  AND ($1::boolean OR (t.updated_offset, t.updated_index) < (c.updated_offset, c.updated_index));

-- name: put_seat_blocks
INSERT INTO seat_blocks AS t (
    event_id, id, partition, "offset", ticket_type_id, seats, quantity, until_at, label, releases, created_at,
    updated_offset, updated_index)
SELECT event_id, id, partition, "offset", ticket_type_id, string_to_array(seats, ','), quantity, until_at, label,
       string_to_array(releases, ','), created_at, updated_offset, updated_index
FROM unnest(
    $2::text[], $3::text[], $4::integer[], $5::bigint[], $6::text[], $7::text[], $8::integer[], $9::bigint[],
    $10::text[], $11::text[], $12::bigint[], $13::bigint[], $14::integer[])
    AS c (event_id, id, partition, "offset", ticket_type_id, seats, quantity, until_at, label, releases, created_at,
          updated_offset, updated_index)
ON CONFLICT (event_id, id) DO UPDATE SET
    "offset" = excluded."offset", ticket_type_id = excluded.ticket_type_id, seats = excluded.seats,
    quantity = excluded.quantity, until_at = excluded.until_at, label = excluded.label,
    releases = excluded.releases, created_at = excluded.created_at,
    updated_offset = excluded.updated_offset, updated_index = excluded.updated_index
WHERE $1::boolean OR (t.updated_offset, t.updated_index) < (excluded.updated_offset, excluded.updated_index);

-- name: patch_seat_blocks
-- Places that are free again are removed from the block.
UPDATE seat_blocks AS t SET
    seats = ARRAY(SELECT one FROM unnest(t.seats) WITH ORDINALITY AS u (one, place)
                  WHERE one <> ALL (string_to_array(c.seats_gone, ',')) ORDER BY place),
    quantity = t.quantity - c.quantity_less,
    releases = t.releases || string_to_array(c.releases, ','),
    updated_offset = c.updated_offset, updated_index = c.updated_index
FROM unnest($2::text[], $3::text[], $4::text[], $5::integer[], $6::text[], $7::bigint[], $8::integer[])
    AS c (event_id, id, seats_gone, quantity_less, releases, updated_offset, updated_index)
WHERE t.event_id = c.event_id AND t.id = c.id
  AND ($1::boolean OR (t.updated_offset, t.updated_index) < (c.updated_offset, c.updated_index));

-- name: put_event_staff
-- added_at 0: unchanged.
INSERT INTO event_staff AS t (event_id, member_id, partition, active, added_at, updated_offset, updated_index)
SELECT * FROM unnest(
    $2::text[], $3::text[], $4::integer[], $5::boolean[], $6::bigint[], $7::bigint[], $8::integer[])
ON CONFLICT (event_id, member_id) DO UPDATE SET
    active = excluded.active,
    added_at = CASE excluded.added_at WHEN 0 THEN t.added_at ELSE excluded.added_at END,
    updated_offset = excluded.updated_offset, updated_index = excluded.updated_index
WHERE $1::boolean OR (t.updated_offset, t.updated_index) < (excluded.updated_offset, excluded.updated_index);

-- name: put_staff_invitations
INSERT INTO staff_invitations AS t (
    event_id, member_id, partition, status, expires_at, invited_at, ended_at, updated_offset, updated_index)
SELECT * FROM unnest(
    $2::text[], $3::text[], $4::integer[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
    $10::integer[])
ON CONFLICT (event_id, member_id) DO UPDATE SET
    status = excluded.status, expires_at = excluded.expires_at, invited_at = excluded.invited_at,
    ended_at = excluded.ended_at, updated_offset = excluded.updated_offset, updated_index = excluded.updated_index
WHERE $1::boolean OR (t.updated_offset, t.updated_index) < (excluded.updated_offset, excluded.updated_index);

-- name: patch_staff_invitations
-- Without an invitation (staff from before invitations existed) nothing is changed.
UPDATE staff_invitations AS t SET
    status = c.status, ended_at = c.ended_at, updated_offset = c.updated_offset, updated_index = c.updated_index
FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::integer[])
    AS c (event_id, member_id, status, ended_at, updated_offset, updated_index)
WHERE t.event_id = c.event_id AND t.member_id = c.member_id
  AND ($1::boolean OR (t.updated_offset, t.updated_index) < (c.updated_offset, c.updated_index));

-- name: put_transfers
INSERT INTO transfers AS t (
    event_id, id, partition, status, reservation_id, ticket_id, ticket_type_id, seat, user_id, to_user_id, expires_at,
    offered_at, ended_at, updated_offset, updated_index)
SELECT * FROM unnest(
    $2::text[], $3::text[], $4::integer[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],
    $11::text[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::integer[])
ON CONFLICT (event_id, id) DO UPDATE SET
    status = excluded.status, expires_at = excluded.expires_at, offered_at = excluded.offered_at,
    ended_at = excluded.ended_at, updated_offset = excluded.updated_offset, updated_index = excluded.updated_index
WHERE $1::boolean OR (t.updated_offset, t.updated_index) < (excluded.updated_offset, excluded.updated_index);

-- name: patch_transfers
UPDATE transfers AS t SET
    status = c.status, ended_at = c.ended_at, updated_offset = c.updated_offset, updated_index = c.updated_index
FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::integer[])
    AS c (event_id, id, status, ended_at, updated_offset, updated_index)
WHERE t.event_id = c.event_id AND t.id = c.id
  AND ($1::boolean OR (t.updated_offset, t.updated_index) < (c.updated_offset, c.updated_index));

-- name: put_schedules
INSERT INTO schedules AS t (event_id, partition, activities, updated_offset, updated_index)
SELECT event_id, partition, ARRAY(SELECT json_array_elements_text(activities)), updated_offset, updated_index
FROM unnest($2::text[], $3::integer[], $4::json[], $5::bigint[], $6::integer[])
    AS c (event_id, partition, activities, updated_offset, updated_index)
ON CONFLICT (event_id) DO UPDATE SET
    activities = excluded.activities,
    updated_offset = excluded.updated_offset, updated_index = excluded.updated_index
WHERE $1::boolean OR (t.updated_offset, t.updated_index) < (excluded.updated_offset, excluded.updated_index);

-- name: put_chores
INSERT INTO chores AS t (
    event_id, kind, partition, cause, changed, told_id, finished, started_at, updated_offset, updated_index)
SELECT event_id, kind, partition, cause, ARRAY(SELECT json_array_elements_text(changed)), told_id, finished,
       started_at, updated_offset, updated_index
FROM unnest(
    $2::text[], $3::text[], $4::integer[], $5::bigint[], $6::json[], $7::text[], $8::boolean[], $9::bigint[],
    $10::bigint[], $11::integer[])
    AS c (event_id, kind, partition, cause, changed, told_id, finished, started_at, updated_offset, updated_index)
ON CONFLICT (event_id, kind) DO UPDATE SET
    cause = excluded.cause, changed = excluded.changed, told_id = excluded.told_id, finished = excluded.finished,
    started_at = excluded.started_at,
    updated_offset = excluded.updated_offset, updated_index = excluded.updated_index
WHERE $1::boolean OR (t.updated_offset, t.updated_index) < (excluded.updated_offset, excluded.updated_index);

-- name: patch_chores
-- Without such a chore nothing is changed: a cancelled event notifies its holders without one.
UPDATE chores AS t SET
    told_id = COALESCE(c.told_id, t.told_id), finished = COALESCE(c.finished, t.finished),
    updated_offset = c.updated_offset, updated_index = c.updated_index
FROM unnest($2::text[], $3::text[], $4::text[], $5::boolean[], $6::bigint[], $7::integer[])
    AS c (event_id, kind, told_id, finished, updated_offset, updated_index)
WHERE t.event_id = c.event_id AND t.kind = c.kind
  AND ($1::boolean OR (t.updated_offset, t.updated_index) < (c.updated_offset, c.updated_index));
