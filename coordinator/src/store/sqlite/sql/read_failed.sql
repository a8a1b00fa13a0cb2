SELECT point FROM setback
WHERE sweep = ?1 AND point >= ?2 AND set_aside = 1
ORDER BY point LIMIT ?3;
