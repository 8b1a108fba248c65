-- The history of alerts. Times are microseconds.

-- name: firing_alerts
SELECT alert, about, began_at, fired_at FROM alert_history WHERE resolved_at = 0;

-- name: fire_alert
-- Another monitoring process may have written it before.
INSERT INTO alert_history (alert, about, severity, summary, value, began_at, fired_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (alert, about) WHERE resolved_at = 0 DO NOTHING;

-- name: note_alert
-- The last reading of an alert that fires.
UPDATE alert_history SET value = $3, summary = $4 WHERE alert = $1 AND about = $2 AND resolved_at = 0;

-- name: resolve_alert
-- A webhook that knows the alert hears of its end at once.
UPDATE alert_history SET resolved_at = $3, call_due_at = 0, call_tries = 0
WHERE alert = $1 AND about = $2 AND resolved_at = 0;

-- name: claim_alert_calls
-- Alerts whose last state the webhook does not know, the oldest first. Until $2 no other process takes them.
UPDATE alert_history SET call_due_at = $2, call_tries = call_tries + 1
WHERE id IN (
    SELECT id FROM alert_history
    WHERE called_for <> CASE WHEN resolved_at = 0 THEN 'firing' ELSE 'resolved' END
      AND call_due_at <= $1 AND fired_at > $3 AND call_tries < $4::bigint
    ORDER BY id LIMIT $5 FOR UPDATE SKIP LOCKED
)
RETURNING id, alert, about, severity, summary, value, fired_at, resolved_at, call_tries;

-- name: alert_called
UPDATE alert_history SET called_for = $2, call_tries = 0, call_due_at = 0, call_error = ''
WHERE id = $1;

-- name: alert_call_failed
UPDATE alert_history SET call_due_at = $2, call_error = $3 WHERE id = $1;

-- name: prune_alerts
DELETE FROM alert_history WHERE resolved_at > 0 AND resolved_at < $1;
