SELECT 1 FROM task
WHERE sweep = ?1 AND point = ?3
    -- Finished by another attempt is not finished by this one.
    AND epoch = ?2;
