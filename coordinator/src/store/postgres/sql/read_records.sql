SELECT point, epoch, payload FROM record
WHERE sweep = $1
    -- The first points that have any, and no further.
    AND point BETWEEN $2 AND (
        SELECT max(first.point)
        FROM (SELECT DISTINCT point FROM record WHERE sweep = $1 AND point >= $2 ORDER BY point LIMIT $3) AS first
    )
ORDER BY point, epoch, step
