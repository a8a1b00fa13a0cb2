SELECT setback.point, setback.attempts, worker.id, setback.error, setback.set_aside
FROM setback JOIN worker ON worker.key = setback.worker
WHERE setback.sweep = $1 AND setback.point BETWEEN $2 AND $3
