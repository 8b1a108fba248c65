-- Alerts, for operators.

-- name: alerts
-- The latest first; $1: only those that fire; $2: the cursor.
SELECT id, alert, about, severity, summary, value, began_at, fired_at, resolved_at, called_for
FROM alert_history
WHERE (NOT $1::boolean OR resolved_at = 0) AND ($2::bigint IS NULL OR id < $2::bigint)
ORDER BY id DESC LIMIT $3::bigint;
