SELECT lease.epoch, worker.id, lease.slots, lease.granted, lease.remain
FROM lease JOIN worker ON worker.key = lease.worker
WHERE lease.sweep = ?1;
