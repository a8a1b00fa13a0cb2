SELECT 1 FROM setback
WHERE sweep = ?1 AND point = ?3
    -- The row tells of the latest attempt that ended badly: of earlier ones it is not known any more.
    AND epoch = ?2;
