SELECT point FROM record
WHERE sweep = ?1 AND point >= ?2
ORDER BY point, epoch, step LIMIT 1 OFFSET ?3;
