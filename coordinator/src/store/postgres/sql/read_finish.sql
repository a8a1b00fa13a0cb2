SELECT task.attempts, worker.id, task.finish_time
FROM task JOIN worker ON worker.key = task.worker
WHERE task.sweep = $1 AND task.point = $2
