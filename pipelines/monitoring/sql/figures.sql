-- The figures of the last hour and the last day. One row for each step; times are seconds.

-- name: keep_figures
-- Another monitoring process may have written the same step.
INSERT INTO figure_history (step_s, at, figures) VALUES ($1::integer, $2::bigint, $3::text) ON CONFLICT DO NOTHING;

-- name: prune_figures
DELETE FROM figure_history WHERE step_s = $1::integer AND at <= $2::bigint;
