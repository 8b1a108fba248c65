-- Webhook calls: their endpoints, and their outcomes.

-- name: put_webhook_events
INSERT INTO webhook_events (event_id, organizer_id)
SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT (event_id) DO NOTHING;

-- name: webhook_audience
-- The events whose organizer has an endpoint. Events from before this table are found by their rows.
SELECT o.event_id, o.organizer_id
FROM (
    SELECT event_id, organizer_id FROM webhook_events WHERE event_id = ANY ($1::text[])
    UNION
    SELECT id, organizer_id FROM events WHERE id = ANY ($1::text[])
) AS o
WHERE EXISTS (SELECT FROM webhook_endpoints AS w WHERE w.owner = o.organizer_id);

-- name: put_webhook_deliveries
-- One row for each fact and endpoint; a fact that comes twice is stored once.
INSERT INTO webhook_deliveries (id, endpoint_id, partition, "offset", "index", event_id, type, payload, trace)
SELECT 'msg_' || replace(w.id::text, '-', '') || '_' || f.partition || '-' || f."offset" || '-' || f."index",
       w.id, f.partition, f."offset", f."index", f.event_id, f.type, f.payload, f.trace
FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::integer[], $5::text[], $6::text[], $7::text[], $8::text[])
    AS f (event_id, partition, "offset", "index", type, payload, organizer_id, trace)
JOIN webhook_endpoints AS w ON w.owner = f.organizer_id
    AND (w.event_id = '' OR w.event_id = f.event_id)
    AND (w.types = '{}' OR f.type = ANY (w.types))
ON CONFLICT (endpoint_id, partition, "offset", "index") DO NOTHING
RETURNING id;

-- name: claim_webhooks
-- A process that claims a call has it for $1 seconds; if the process dies, the call is due again. At most $2 calls, $3
-- of them to endpoints on trial. $4, $5, $6: the known endpoints, how many calls each may have, and whether they are on
-- trial. All other endpoints are on trial and may have one call. $7, $8, $9: organizers with running calls, how many
-- more calls they may have, and how many more trials. All other organizers may have $10 and $11. Organizers take turns,
-- so that one with many calls does not delay the others.
WITH due AS (
    SELECT d.id, d.due_at, e.owner, e.url, e.secret, COALESCE(k.on_trial, true) AS on_trial,
           CASE WHEN e.former_until > now() THEN e.former_secret ELSE '' END AS former_secret
    FROM webhook_endpoints AS e
    LEFT JOIN unnest($4::uuid[], $5::int[], $6::boolean[]) AS k (id, places, on_trial) ON k.id = e.id
    CROSS JOIN LATERAL (
        SELECT w.id, w.due_at FROM webhook_deliveries AS w
        WHERE w.endpoint_id = e.id AND w.status = 'pending' AND w.due_at <= now()
        ORDER BY w.due_at LIMIT COALESCE(k.places, 1) FOR UPDATE SKIP LOCKED
    ) AS d
    WHERE e.enabled
), ranked AS (
    SELECT due.*, row_number() OVER (PARTITION BY owner ORDER BY due_at, id) AS turn,
           row_number() OVER (PARTITION BY owner, on_trial ORDER BY due_at, id) AS trial
    FROM due
), allowed AS (
    SELECT r.*, row_number() OVER (PARTITION BY on_trial ORDER BY trial, due_at, r.id) AS trial_of_all
    FROM ranked AS r
    LEFT JOIN unnest($7::text[], $8::int[], $9::int[]) AS o (owner, places, trials) ON o.owner = r.owner
    WHERE turn <= COALESCE(o.places, $10::integer) AND (NOT on_trial OR trial <= COALESCE(o.trials, $11::integer))
), chosen AS (
    SELECT * FROM allowed WHERE NOT on_trial OR trial_of_all <= $3::integer ORDER BY turn, due_at, id LIMIT $2::integer
)
UPDATE webhook_deliveries AS d
SET attempts = d.attempts + 1, due_at = now() + make_interval(secs => $1), attempted_at = now()
FROM chosen
WHERE d.id = chosen.id
RETURNING d.id, d.endpoint_id, chosen.owner, d.type, d.payload, d.attempts, chosen.url, chosen.secret,
          chosen.former_secret, (extract(epoch FROM d.created_at) * 1000)::bigint AS created_ms, d.trace;

-- name: settle_webhook
-- $2 status, $3 the answer's HTTP status, $4 error, $5 seconds until it is due again.
UPDATE webhook_deliveries
SET status = $2, answer = $3, error = $4, due_at = now() + make_interval(secs => $5)
WHERE id = $1 AND status = 'pending';

-- name: disable_endpoint
UPDATE webhook_endpoints SET enabled = false, disabled_why = $2 WHERE id = $1 AND enabled RETURNING id;

-- name: prune_webhooks
DELETE FROM webhook_deliveries WHERE id IN (
    SELECT id FROM webhook_deliveries WHERE created_at < now() - make_interval(days => $1) LIMIT $2
);

-- name: webhooks_waiting
SELECT count(*) FROM (SELECT FROM webhook_deliveries WHERE status = 'pending' LIMIT $1) AS waiting;
