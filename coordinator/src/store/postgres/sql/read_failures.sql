SELECT point, attempts, error FROM setback
WHERE sweep = $1 AND set_aside
ORDER BY point LIMIT $2
