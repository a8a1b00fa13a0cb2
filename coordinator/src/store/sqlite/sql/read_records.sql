SELECT point, epoch, payload FROM record
WHERE sweep = ?1 AND point BETWEEN ?2 AND ?3
ORDER BY point, epoch, step;
