-- The totals of the monitoring dataflow. The positions' statements are those of projections.sql.

-- name: add_totals
INSERT INTO fact_totals (partition, measure, label, total)
SELECT * FROM unnest($1::integer[], $2::text[], $3::text[], $4::bigint[])
ON CONFLICT (partition, measure, label) DO UPDATE SET total = fact_totals.total + excluded.total;

-- name: totals
SELECT measure, label, sum(total)::bigint FROM fact_totals GROUP BY measure, label;

-- name: last_log_time
SELECT COALESCE(max(log_time), 0) FROM projection_positions WHERE consumer = $1;
