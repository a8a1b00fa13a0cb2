WITH page AS (
    -- No page goes beyond as many finished points: what lies further on is not wanted.
    SELECT coalesce(
        (SELECT point FROM task WHERE sweep = $1 AND point >= $2 ORDER BY point OFFSET $3::BIGINT - 1 LIMIT 1),
        9223372036854775807
    ) AS last
)
SELECT point, epoch, payload FROM record
WHERE sweep = $1
    -- The first points that have any, and no further.
    AND point BETWEEN $2 AND (
        SELECT max(first.point)
        FROM (
            SELECT DISTINCT point FROM record
            WHERE sweep = $1 AND point BETWEEN $2 AND (SELECT last FROM page) ORDER BY point LIMIT $3
        ) AS first
    )
ORDER BY point, epoch, step
