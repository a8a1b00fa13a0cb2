SELECT record.point, record.step, record.payload
FROM record JOIN task ON task.sweep = $1 AND task.point = record.point AND task.epoch = record.epoch
WHERE record.sweep = $1 AND record.point BETWEEN $2 AND $3 AND task.point BETWEEN $2 AND $3
ORDER BY record.point, record.step
