INSERT INTO attempt (sweep, point, epoch, attempt, worker, error, set_aside, end_time)
SELECT $1, new.point, $2, new.attempt, lease.worker, new.error, new.set_aside, $7
FROM unnest($3::BIGINT[], $4::BIGINT[], $5::TEXT[], $6::BOOLEAN[]) AS new (point, attempt, error, set_aside), lease
-- The fence: a lease that ended has no row, and then nothing is remembered.
WHERE lease.sweep = $1 AND lease.epoch = $2
