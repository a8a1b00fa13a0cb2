-- Without a conflict clause on purpose: a task that is finished already cannot finish again.
INSERT INTO task (sweep, point, epoch, attempts, worker, finish_time)
SELECT $1, new.point, $2, new.attempts, lease.worker, $5
FROM unnest($3::BIGINT[], $4::BIGINT[]) AS new (point, attempts), lease
-- The fence: a lease that ended has no row, and then no task is inserted.
WHERE lease.sweep = $1 AND lease.epoch = $2
