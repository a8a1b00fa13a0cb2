SELECT point, COUNT(*), MAX(step) FROM record
WHERE sweep = ?1
    -- The lease's points all lie in this range, which is narrow; the epoch tells its own from those between.
    AND point BETWEEN ?3 AND ?4
    AND epoch = ?2
GROUP BY point;
