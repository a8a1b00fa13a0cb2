SELECT point, epoch, payload FROM record
WHERE sweep = ?1 AND point >= ?2
ORDER BY point, epoch, step;
