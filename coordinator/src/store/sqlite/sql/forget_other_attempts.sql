DELETE FROM record
WHERE sweep = ?1
    AND point BETWEEN ?2 AND ?3
    -- The points of the range ended under this epoch: whatever other attempts measured is superseded.
    AND epoch <> ?4;
