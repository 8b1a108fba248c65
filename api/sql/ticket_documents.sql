-- The content of a ticket's documents: the ticket, its event, its ticket type.

-- name: ticket_document
-- revision: the position of the last change of the ticket or its event. It grows, because an event has one partition.
SELECT tickets.id, tickets.version, tickets.status, tickets.seat, tickets.ordinal, tickets.user_id, tickets.issued_at,
       tickets.event_id, events.title, events.venue, events.starts_at, events.ends_at, events.timezone,
       ticket_types.name AS ticket_type,
       greatest(tickets.updated_offset, events.updated_offset) AS revision,
       EXISTS (SELECT FROM disputes WHERE disputes.event_id = tickets.event_id
               AND disputes.reservation_id = tickets.reservation_id AND disputes.status = 'open') AS disputed
FROM tickets
JOIN events ON events.id = tickets.event_id
LEFT JOIN ticket_types ON ticket_types.event_id = tickets.event_id AND ticket_types.id = tickets.ticket_type_id
WHERE tickets.id = $1;
