SELECT point FROM setback
WHERE sweep = $1 AND point >= $2 AND set_aside
ORDER BY point LIMIT $3
