-- Alerts, for `circle alerts` and `circle top`.

-- name: alert_history
-- Those that fire first, then the latest; $1: only those that fire.
SELECT alert, about, severity, summary, value, began_at, fired_at, resolved_at, called_for, call_error
FROM alert_history
WHERE NOT $1::boolean OR resolved_at = 0
ORDER BY resolved_at = 0 DESC, id DESC LIMIT $2::bigint;
