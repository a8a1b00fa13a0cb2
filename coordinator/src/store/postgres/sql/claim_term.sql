UPDATE leadership
SET term = term + 1, address = $1, expire_time = clock_timestamp() + make_interval(secs => $2)
-- Only what has run out can be claimed.
WHERE expire_time <= clock_timestamp()
RETURNING term
