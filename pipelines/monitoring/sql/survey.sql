-- Where the flows stand that keep their positions with their rows.

-- name: positions
SELECT consumer, partition, next_offset FROM projection_positions;
