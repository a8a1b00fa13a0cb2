DELETE FROM record
WHERE sweep = ?1 AND point BETWEEN ?2 AND ?3
    -- Nothing of a point that has not finished.
    AND epoch = (SELECT task.epoch FROM task WHERE task.sweep = ?1 AND task.point = record.point);
