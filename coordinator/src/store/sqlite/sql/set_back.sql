INSERT INTO setback (sweep, point, epoch, attempts, worker, error, set_aside) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT DO UPDATE SET
    epoch = excluded.epoch,
    attempts = excluded.attempts,
    worker = excluded.worker,
    error = excluded.error,
    set_aside = excluded.set_aside;
