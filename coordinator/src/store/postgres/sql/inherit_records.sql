WITH moved AS (
    UPDATE record
    SET epoch = $4
    WHERE sweep = $1 AND point = ANY ($2::BIGINT[]) AND epoch = $3
    RETURNING point
),
counted AS (SELECT point, count(*) AS records FROM moved GROUP BY point)
-- Each point that has as many as were reported of it: what one lacks another cannot make up for.
SELECT wanted.point
FROM unnest($2::BIGINT[], $5::BIGINT[]) AS wanted (point, records) LEFT JOIN counted ON counted.point = wanted.point
WHERE coalesce(counted.records, 0) = wanted.records
