-- The fence: a lease that ended has no row, and its epoch is never granted again. The answer is a row if it is alive.
WITH live AS (
    SELECT FROM lease WHERE sweep = $1 AND epoch = $2
), inserted AS (
    INSERT INTO record (sweep, point, epoch, step, payload)
    SELECT $1, new.point, $2, new.step, new.payload
    FROM live, unnest($3::BIGINT[], $4::BIGINT[], $5::BYTEA[]) AS new (point, step, payload)
    -- The same attempt measures the same: a repetition changes nothing.
    ON CONFLICT DO NOTHING
)
SELECT FROM live
