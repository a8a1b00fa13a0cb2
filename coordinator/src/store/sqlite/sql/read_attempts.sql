SELECT attempt.attempt, worker.id, attempt.error, attempt.set_aside, attempt.end_time
FROM attempt JOIN worker ON worker.key = attempt.worker
WHERE attempt.sweep = ?1 AND attempt.point = ?2
-- Attempts are numbered anew when a person retries the point; epochs only rise.
ORDER BY attempt.epoch;
