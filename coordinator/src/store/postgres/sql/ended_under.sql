-- A lost lease set its points back as well: only a finished task shows that the records counted, and finished by another
-- attempt is not finished by this one.
SELECT
    NOT EXISTS (
        SELECT FROM unnest($3::BIGINT[]) AS asked (point)
        WHERE NOT EXISTS (SELECT FROM task WHERE sweep = $1 AND point = asked.point AND epoch = $2)
    )
    -- The row tells of the latest attempt that ended badly: of earlier ones it is not known any more.
    AND NOT EXISTS (
        SELECT FROM unnest($4::BIGINT[]) AS asked (point)
        WHERE NOT EXISTS (SELECT FROM setback WHERE sweep = $1 AND point = asked.point AND epoch = $2)
    )
