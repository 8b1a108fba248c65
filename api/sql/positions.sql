-- The positions that the projections have reached.

-- name: positions_projected
SELECT partition, "offset" FROM projection_positions WHERE consumer = 'projections';

-- name: alive
SELECT 1 AS alive;
