-- The positions that the branches of the read side store with their rows.

-- name: branch_positions
SELECT consumer, partition, next_offset FROM projection_positions;
