DELETE FROM setback
USING unnest($2::BIGINT[], $3::BIGINT[]) AS run (first, last)
WHERE sweep = $1 AND point BETWEEN run.first AND run.last
