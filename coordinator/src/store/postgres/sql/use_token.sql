-- No more often than it may be used, whoever else uses it at the same time.
UPDATE token SET used = used + 1
WHERE id = $1 AND revoke_time IS NULL AND (uses IS NULL OR used < uses)
