SELECT point, attempts, error FROM setback
WHERE sweep = ?1 AND set_aside = 1
ORDER BY point LIMIT ?2;
