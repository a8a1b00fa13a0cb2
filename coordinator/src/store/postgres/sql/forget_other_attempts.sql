DELETE FROM record
USING unnest($2::BIGINT[], $3::BIGINT[]) AS run (first, last)
WHERE sweep = $1
    AND point BETWEEN run.first AND run.last
    -- The points of the runs ended under this epoch: whatever other attempts measured is superseded.
    AND epoch <> $4
