UPDATE leadership
SET expire_time = clock_timestamp() + make_interval(secs => $2)
-- Whoever was succeeded has nothing to renew.
WHERE term = $1
RETURNING term
