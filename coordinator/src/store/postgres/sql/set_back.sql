INSERT INTO setback (sweep, point, epoch, attempts, worker, error, set_aside)
SELECT $1, new.point, $2, new.attempts, lease.worker, new.error, new.set_aside
FROM unnest($3::BIGINT[], $4::BIGINT[], $5::TEXT[], $6::BOOLEAN[]) AS new (point, attempts, error, set_aside), lease
-- The fence: a lease that ended has no row, and then nothing is set back.
WHERE lease.sweep = $1 AND lease.epoch = $2
ON CONFLICT (sweep, point) DO UPDATE SET
    epoch = excluded.epoch,
    attempts = excluded.attempts,
    worker = excluded.worker,
    error = excluded.error,
    set_aside = excluded.set_aside
