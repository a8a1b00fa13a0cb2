SELECT live.sweep, live.epoch, reported.point, reported.records, reported.last_step
FROM unnest($1::BIGINT[], $2::BIGINT[], $3::BIGINT[], $4::BIGINT[]) AS live (sweep, epoch, first, last),
    LATERAL (
        SELECT point, count(*) AS records, max(step) AS last_step
        FROM record
        WHERE record.sweep = live.sweep
            -- The lease's points all lie in this range, which is narrow; the epoch tells its own from those between.
            AND record.point BETWEEN live.first AND live.last
            AND record.epoch = live.epoch
        GROUP BY point
    ) AS reported
