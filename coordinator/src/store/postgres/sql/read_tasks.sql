SELECT task.point, task.attempts, worker.id
FROM task JOIN worker ON worker.key = task.worker
WHERE task.sweep = $1 AND task.point >= $2
ORDER BY task.point LIMIT $3
