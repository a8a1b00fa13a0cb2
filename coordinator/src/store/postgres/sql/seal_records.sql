DELETE FROM record
USING unnest($2::BIGINT[], $3::BIGINT[]) AS run (first, last), task
WHERE record.sweep = $1 AND record.point BETWEEN run.first AND run.last
    -- Nothing of a point that has not finished.
    AND task.sweep = $1 AND task.point = record.point AND task.epoch = record.epoch
    -- Of those finished long ago nothing needs to be looked at.
    AND task.point BETWEEN run.first AND run.last
