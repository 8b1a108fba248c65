-- The positions of the flows that store them with their rows.

-- name: positions
SELECT consumer, partition, next_offset FROM projection_positions;
