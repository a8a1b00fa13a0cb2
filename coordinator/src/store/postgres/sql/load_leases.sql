SELECT lease.sweep, lease.epoch, worker.id, lease.slots, lease.granted, lease.remain
FROM lease JOIN worker ON worker.key = lease.worker
-- Of one sweep, or of all.
WHERE lease.sweep = $1 OR $1 IS NULL
